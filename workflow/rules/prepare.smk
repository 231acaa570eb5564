# The dataset as a table of images: split, order, labels and content hash.

IMAGES = f"{RESULTS}/data/images.parquet"
PREPARED = lineage(canonical(STUDY.dataset()), STUDY.content, fingerprint("data.datasets"))


# The user's own image files are inputs, but it is by what they hold that images are prepared again, and not by their
# times: those of a copy are new, and those of other files under the same names may be old.


rule prepare:
    """The dataset as one table of images, in its fixed order."""
    input:
        lambda wildcards: own([ancient(path) for path in STUDY.sources()]),
    output:
        IMAGES,
    log:
        f"{RESULTS}/logs/prepare.log",
    threads: 8
    # How many finished runs may be trained again is no parameter of the images.
    resources:
        retrain_at_most=str(STUDY.config.get("retrain_at_most", 0)),
    params:
        trained=placed(f"{RESULTS}/train"),
        settings=lambda wildcards: STUDY.prepare(),
        content=f"files of content {STUDY.content}",
        code=f"prepare code {fingerprint('data.datasets')}",
    shell:
        "python -m memsweep prepare --trained {params.trained:q} --retrain-at-most {resources.retrain_at_most}"
        " --output {output:q} <<< {params.settings:q} 2> {log:q}"
