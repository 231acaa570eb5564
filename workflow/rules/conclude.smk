# What runs say together: one law of the onset in all axes, whether their curves are one in a rescaled time, and which
# distances descend twice.


rule conclude:
    """One law of the onset in all axes, the collapse of curves in a rescaled time, and distances that descend twice."""
    input:
        runs=table("runs"),
        trajectories=table("trajectories"),
        metrics=table("metrics"),
        onsets=table("onsets"),
        thresholds=table("thresholds"),
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
    *tables_of(rules.collect),
    *tables_of(rules.analyse),
    *tables_of(rules.conclude),
    *(tables_of(rules.baselines) if STUDY.surrogates else []),
]
ESTIMATED = CONCLUDED

# Where figures find their tables. The sample sheet shows one run, and needs no more than its pack.
SHEET = STUDY.sheet_run()[0]
SOURCES = {
    "images": Source(IMAGES, PREPARED),
    **sources(rules.baselines, BASELINES),
    **sources(rules.check_metrics, CHECKED),
    **sources(rules.collect, COLLECTED),
    **sources(rules.analyse, ANALYSED),
    **sources(rules.conclude, CONCLUDED),
    "pack/runs": Source(expand(f"{TRAIN}/runs.parquet", job=SHEET), trained(SHEET)),
    "pack/samples": Source(expand(f"{TRAIN}/samples.parquet", job=SHEET), trained(SHEET)),
    "pack/neighbours": Source(expand(f"{MEASURE}/neighbours.parquet", job=SHEET), measured(SHEET)),
}
