# What samples say about novelty and fidelity. Changing a metric never retrains.


rule classifier:
    input:
        images=rules.prepare.output,
    output:
        f"{RESULTS}/data/classifier.pt",
    params:
        code=f"classifier code {fingerprint('classifier')}",
    log:
        f"{RESULTS}/logs/classifier.log",
    shell:
        "python -m memsweep classifier --images {input.images} --output {output} <<< {{}} 2> {log}"


rule features:
    input:
        images=rules.prepare.output,
        classifier=rules.classifier.output,
    output:
        f"{RESULTS}/data/features/{{space}}.parquet",
    params:
        settings=lambda wildcards: STUDY.features(wildcards.space),
        code=f"feature code {fingerprint('features')}",
    log:
        f"{RESULTS}/logs/features/{{space}}.log",
    shell:
        "python -m memsweep features --images {input.images} --classifier {input.classifier}"
        " --output {output} <<< {params.settings:q} 2> {log}"


rule measure:
    input:
        images=rules.prepare.output,
        classifier=rules.classifier.output,
        runs=rules.train.output.runs,
        samples=rules.train.output.samples,
        features=expand(rules.features.output, space=STUDY.config["metrics"]["spaces"]),
    output:
        metrics=f"{RESULTS}/measure/{{job}}/metrics.parquet",
        neighbours=f"{RESULTS}/measure/{{job}}/neighbours.parquet",
    params:
        settings=STUDY.measure(),
        code=f"metrics code {fingerprint('measure')}",
        train=subpath(input.runs, parent=True),
        features=f"{RESULTS}/data/features",
        folder=subpath(output.metrics, parent=True),
    log:
        f"{RESULTS}/logs/measure/{{job}}.log",
    shell:
        "python -m memsweep measure --images {input.images} --classifier {input.classifier}"
        " --train {params.train} --features {params.features}"
        " --output {params.folder} <<< {params.settings:q} 2> {log}"
