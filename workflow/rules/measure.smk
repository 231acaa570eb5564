# What samples say about novelty and fidelity. Changing a metric never retrains.


rule classifier:
    input:
        images=rules.prepare.output[0],
    output:
        f"{RESULTS}/data/classifier.pt",
    log:
        f"{RESULTS}/logs/classifier.log",
    params:
        code=f"classifier code {fingerprint('classifier')}",
    shell:
        "python -m memsweep classifier --images {input.images} --output {output} <<< {{}} 2> {log}"


rule features:
    input:
        images=rules.prepare.output[0],
        classifier=rules.classifier.output[0],
        weights=lambda wildcards: STUDY.weights(wildcards.space),
    output:
        FEATURES,
    log:
        f"{RESULTS}/logs/features/{{space}}.log",
    params:
        settings=lambda wildcards: STUDY.features(wildcards.space),
        cache="results/cache/features",
        code=f"feature code {fingerprint('features')}",
    shell:
        "python -m memsweep features --images {input.images} --classifier {input.classifier}"
        " --cache {params.cache} --output {output} <<< {params.settings:q} 2> {log}"


rule measure:
    input:
        images=rules.prepare.output[0],
        classifier=rules.classifier.output[0],
        runs=rules.train.output.runs,
        samples=rules.train.output.samples,
        features=expand(FEATURES, space=STUDY.config["metrics"]["spaces"]),
        weights=STUDY.weights(*STUDY.config["metrics"]["spaces"]),
    output:
        metrics=f"{MEASURE}/metrics.parquet",
        neighbours=f"{MEASURE}/neighbours.parquet",
    log:
        f"{RESULTS}/logs/measure/{{job}}.log",
    params:
        settings=STUDY.measure(),
        code=f"metrics code {fingerprint('measure')}",
        upstream=lambda wildcards: f"runs {trained(wildcards.job)}",
        data=subpath(input.classifier, parent=True),
        train=subpath(input.runs, parent=True),
        folder=subpath(output.metrics, parent=True),
    shell:
        "python -m memsweep measure --images {input.images} --classifier {input.classifier}"
        " --train {params.train} --features {params.data}/features"
        " --output {params.folder} <<< {params.settings:q} 2> {log}"


# Targets for a study that several machines share: what all packs need, and then the packs.


rule data:
    input:
        rules.prepare.output,
        rules.classifier.output,
        expand(FEATURES, space=STUDY.config["metrics"]["spaces"]),


rule packs:
    input:
        expand(f"{MEASURE}/{{table}}.parquet", job=STUDY.jobs, table=["metrics", "neighbours"]),
