# The dataset as a table of images: split, order, labels and content hash.

PREPARED = lineage(canonical(STUDY.dataset()), fingerprint("datasets"))


# The user's own image files are inputs. Of a folder Snakemake sees when files are added,
# removed or renamed in it; images that were overwritten in place need `--forcerun prepare`.


rule prepare:
    input:
        lambda wildcards: STUDY.sources(),
    output:
        f"{RESULTS}/data/images.parquet",
    log:
        f"{RESULTS}/logs/prepare.log",
    threads: 8 if STUDY.sources() else 1
    params:
        settings=STUDY.prepare(),
        code=f"prepare code {fingerprint('datasets')}",
    shell:
        "python -m memsweep prepare --output {output} <<< {params.settings:q} 2> {log}"
