# The dataset as a table of images: split, order, labels and content hash.


rule prepare:
    output:
        f"{RESULTS}/data/images.parquet",
    log:
        f"{RESULTS}/logs/prepare.log",
    params:
        settings=STUDY.prepare(),
        code=f"prepare code {fingerprint('datasets')}",
    shell:
        "python -m memsweep prepare --output {output} <<< {params.settings:q} 2> {log}"
