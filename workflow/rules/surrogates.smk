# Gaussians in place of the images, and what the best denoisers lose on all of them without any training.

SURROGATES = f"{RESULTS}/data/surrogates.parquet"


rule surrogates:
    """Gaussians in place of the images."""
    input:
        images=IMAGES,
    output:
        SURROGATES,
    log:
        f"{RESULTS}/logs/surrogates.log",
    params:
        settings=lambda wildcards: canonical({"surrogates": STUDY.surrogates}),
        upstream=f"data {PREPARED}",
        code=f"surrogate code {fingerprint('data.surrogates')}",
    shell:
        "python -m memsweep surrogates --images {input.images:q} --output {output:q}"
        " <<< {params.settings:q} 2> {log:q}"


rule baselines:
    """What the best denoisers lose without any training."""
    input:
        images=IMAGES,
        surrogates=SURROGATES,
    output:
        f"{SHOWN}/tables/baselines.parquet",
    log:
        f"{SHOWN}/logs/baselines.log",
    params:
        settings=lambda wildcards: STUDY.baselines(),
        upstream=f"data {PREPARED}",
        code=f"baseline code {fingerprint('analysis.baselines')}",
    shell:
        "python -m memsweep baselines --images {input.images:q} --surrogates {input.surrogates:q}"
        " --output {output:q} <<< {params.settings:q} 2> {log:q}"
