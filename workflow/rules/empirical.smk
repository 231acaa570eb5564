# What models that memorise perfectly generate, from the latents and labels of the runs: a job for each train size.


rule empirical_samples:
    """What a model that memorises perfectly generates, from the latents and labels of the runs."""
    input:
        images=IMAGES,
    output:
        EMPIRICAL,
    log:
        f"{RESULTS}/logs/empirical/train_size={{train_size}}.log",
    params:
        settings=lambda wildcards: STUDY.empirical_samples(int(wildcards.train_size)),
        upstream=f"data {PREPARED}",
        code=f"sampling code {EMPIRICAL_CODE}",
    shell:
        "python -m memsweep empirical_samples --images {input.images:q} --output {output:q}"
        " <<< {params.settings:q} 2> {log:q}"
