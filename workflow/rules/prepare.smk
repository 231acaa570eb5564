# The dataset as a table of images: split, order, labels and content hash.


rule prepare:
    output:
        f"{RESULTS}/data/images.parquet",
    params:
        settings=STUDY.prepare(),
        code=f"prepare code {fingerprint('datasets')}",
    log:
        f"{RESULTS}/logs/prepare.log",
    shell:
        "python -m memsweep prepare --output {output} <<< {params.settings:q} 2> {log}"
