# What samples say about novelty and fidelity. Changing a metric never retrains.


rule classifier:
    """The classifier whose features images are compared in."""
    input:
        images=IMAGES,
    output:
        CLASSIFIER,
    log:
        f"{RESULTS}/logs/classifier.log",
    params:
        code=f"classifier code {fingerprint('metrics.classifier')}",
    shell:
        "python -m memsweep classifier --images {input.images:q} --output {output:q} <<< {{}} 2> {log:q}"


rule features:
    """Features of the images in one space."""
    input:
        images=IMAGES,
        classifier=lambda wildcards: CLASSIFIER if wildcards.space == "classifier" else [],
        weights=lambda wildcards: own(STUDY.weights(wildcards.space)),
    output:
        FEATURES,
    log:
        f"{RESULTS}/logs/features/{{space}}.log",
    resources:
        gpu=lambda wildcards: STUDY.gpus_to_measure(GPUS, wildcards.space),
    params:
        settings=lambda wildcards: STUDY.features(wildcards.space),
        cache="results/cache/features",
        code=f"feature code {fingerprint('metrics.features')}",
    shell:
        "python -m memsweep features --images {input.images:q} --classifier {input.classifier:q}"
        " --cache {params.cache:q} --output {output:q} <<< {params.settings:q} 2> {log:q}"


rule measure:
    """Copies, distances and nearest neighbours of a pack's samples."""
    input:
        images=IMAGES,
        classifier=CLASSIFIER if "classifier" in SPACES else [],
        runs=f"{TRAIN}/runs.parquet",
        samples=f"{TRAIN}/samples.parquet",
        features=expand(FEATURES, space=SPACES),
        # By what a pack takes of them, which its lineage holds, and not by their times: they also serve other packs
        empirical=lambda wildcards: ancient(
            expand(EMPIRICAL, train_size=STUDY.empirical_sizes(wildcards.job))
        ),
        weights=own(STUDY.weights(*SPACES)),
    output:
        metrics=f"{MEASURE}/metrics.parquet",
        neighbours=f"{MEASURE}/neighbours.parquet",
    log:
        f"{RESULTS}/logs/measure/{{job}}.log",
    threads: lambda wildcards: STUDY.threads_to_measure(wildcards.job)
    resources:
        gpu=STUDY.gpus_to_measure(GPUS, *SPACES),
    params:
        settings=lambda wildcards: STUDY.measure(),
        code=f"metrics code {fingerprint('metrics.measure')}",
        upstream=lambda wildcards: f"runs {samples_of(wildcards.job)}",
        data=subpath(input.images, parent=True),
        train=subpath(input.runs, parent=True),
        folder=subpath(output.metrics, parent=True),
    shell:
        "python -m memsweep measure --images {input.images:q} --classifier {input.classifier:q}"
        " --train {params.train:q} --features {params.data:q}/features --empirical {input.empirical:q}"
        " --output {params.folder:q} --threads {threads} <<< {params.settings:q} 2> {log:q}"


# Targets for a study that several machines share: what all packs need, and then the packs.


rule data:
    """What all packs need, made once for several machines that share a study."""
    input:
        IMAGES,
        SURROGATES if STUDY.surrogates else [],
        expand(FEATURES, space=SPACES),
        expand(EMPIRICAL, train_size=STUDY.empirical_sizes(*STUDY.jobs)),


rule packs:
    """Every pack, trained and measured, for several machines that share a study."""
    input:
        expand(f"{MEASURE}/{{table}}.parquet", job=STUDY.jobs, table=["metrics", "neighbours"]),
