# The dataset as a table of images: split, order, labels and content hash.

PREPARED = lineage(canonical(STUDY.dataset()), fingerprint("data.datasets"))


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
    # How many finished runs may be trained again is no parameter of the images.
    resources:
        retrain_at_most=str(STUDY.config.get("retrain_at_most", 0)),
    params:
        trained=f"{RESULTS}/train",
        settings=lambda wildcards: STUDY.prepare(),
        code=f"prepare code {fingerprint('data.datasets')}",
    shell:
        "python -m memsweep prepare --trained {params.trained:q} --retrain-at-most {resources.retrain_at_most}"
        " --output {output:q} <<< {params.settings:q} 2> {log:q}"
