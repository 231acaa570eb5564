# Onsets of memorisation, and how they scale along each axis.


rule analyse:
    input:
        rules.collect.output.runs,
        expand(rules.train.output.losses, job=STUDY.jobs),
        expand(rules.measure.output.neighbours, job=STUDY.jobs),
    output:
        onsets=report(
            f"{RESULTS}/tables/onsets.parquet",
            category="Tables",
            caption="../report/onsets.rst",
            labels={"table": "onsets"},
        ),
        scaling=report(
            f"{RESULTS}/tables/scaling.parquet",
            category="Tables",
            caption="../report/scaling.rst",
            labels={"table": "scaling"},
        ),
    params:
        settings=STUDY.analyse(),
        code=f"analysis code {fingerprint('analyse')}",
        train=f"{RESULTS}/train",
        measured=f"{RESULTS}/measure",
        folder=subpath(output.onsets, parent=True),
    log:
        f"{RESULTS}/logs/analyse.log",
    shell:
        "python -m memsweep analyse --tables {params.folder} --train {params.train}"
        " --measured {params.measured} --output {params.folder} <<< {params.settings:q} 2> {log}"


rule tables:
    input:
        rules.collect.output,
        rules.analyse.output,
