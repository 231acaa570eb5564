# How far runs agree that differ only in their training images, or only in their seed.


rule agree:
    input:
        images=rules.prepare.output[0],
        classifier=CLASSIFIER if "classifier" in SPACES else [],
        runs=lambda wildcards: expand(f"{TRAIN}/runs.parquet", job=STUDY.packs_of(wildcards.comparison)),
        samples=lambda wildcards: expand(f"{TRAIN}/samples.parquet", job=STUDY.packs_of(wildcards.comparison)),
        features=expand(FEATURES, space=SPACES),
        # As of `measure`
        empirical=lambda wildcards: ancient(
            expand(EMPIRICAL, train_size=STUDY.sizes_with_seeds(wildcards.comparison))
        ),
        weights=STUDY.weights(*SPACES),
    output:
        agreement=f"{AGREE}/agreement.parquet",
        means=f"{AGREE}/agreement_over_pairs.parquet",
        samples=f"{AGREE}/paired_samples.parquet",
    log:
        f"{RESULTS}/logs/agree/{{comparison}}.log",
    resources:
        gpu=STUDY.gpus_to_measure(GPUS, *SPACES),
    params:
        settings=lambda wildcards: STUDY.agree(wildcards.comparison),
        code=f"agreement code {fingerprint('metrics.agree')}",
        upstream=lambda wildcards: f"runs {compared_samples(wildcards.comparison)}",
        train=lambda wildcards, input: [str(Path(path).parent) for path in input.runs],
        data=subpath(input.images, parent=True),
        folder=subpath(output.agreement, parent=True),
    shell:
        "python -m memsweep agree --images {input.images:q} --classifier {input.classifier:q}"
        " --train {params.train:q} --features {params.data:q}/features --empirical {input.empirical:q}"
        " --output {params.folder:q} <<< {params.settings:q} 2> {log:q}"
