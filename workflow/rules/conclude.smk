# What runs say together: one law of the onset in all axes, whether their curves are one in a rescaled time, and which
# distances descend twice.


rule conclude:
    input:
        runs=rules.collect.output.runs,
        trajectories=rules.collect.output.trajectories,
        metrics=rules.collect.output.metrics,
        onsets=rules.analyse.output.onsets,
        thresholds=rules.analyse.output.thresholds,
    output:
        law=f"{SHOWN}/tables/law.parquet",
        law_fit=f"{SHOWN}/tables/law_fit.parquet",
        law_errors=f"{SHOWN}/tables/law_errors.parquet",
        collapse=f"{SHOWN}/tables/collapse.parquet",
        descents=f"{SHOWN}/tables/descents.parquet",
    log:
        f"{SHOWN}/logs/conclude.log",
    params:
        settings=lambda wildcards: STUDY.conclude(),
        upstream=f"tables {ANALYSED}",
        code=f"conclusion code {fingerprint('analysis.conclude')}",
        folder=subpath(output.law, parent=True),
    shell:
        "python -m memsweep conclude --tables {params.folder:q} --output {params.folder:q}"
        " <<< {params.settings:q} 2> {log:q}"


# All that is estimated, and what it rests on
ESTIMATES = [
    rules.collect.output,
    rules.analyse.output,
    rules.conclude.output,
    rules.baselines.output if STUDY.surrogates else [],
]
ESTIMATED = CONCLUDED

# Where figures find their tables. The sample sheet shows one run, and needs no more than its pack.
SHEET = STUDY.sheet_run()[0]
SOURCES = {
    "images": Source(rules.prepare.output[0], PREPARED),
    "baselines": Source(rules.baselines.output[0], BASELINES),
    "metric_check": Source(rules.check_metrics.output[0], CHECKED),
    **{table: Source(file, COLLECTED) for table, file in rules.collect.output.items()},
    **{table: Source(file, ANALYSED) for table, file in rules.analyse.output.items()},
    **{table: Source(file, CONCLUDED) for table, file in rules.conclude.output.items()},
    "pack/runs": Source(expand(f"{TRAIN}/runs.parquet", job=SHEET), trained(SHEET)),
    "pack/samples": Source(expand(f"{TRAIN}/samples.parquet", job=SHEET), trained(SHEET)),
    "pack/neighbours": Source(expand(f"{MEASURE}/neighbours.parquet", job=SHEET), measured(SHEET)),
}
