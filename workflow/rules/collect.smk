# The study's tables, from those of its packs.


rule collect:
    input:
        expand(f"{TRAIN}/runs.parquet", job=STUDY.jobs),
        expand(f"{TRAIN}/losses.parquet", job=STUDY.jobs),
        expand(f"{MEASURE}/metrics.parquet", job=STUDY.jobs),
    output:
        runs=f"{SHOWN}/tables/runs.parquet",
        trajectories=f"{SHOWN}/tables/trajectories.parquet",
        noise_levels=f"{SHOWN}/tables/noise_levels.parquet",
        metrics=f"{SHOWN}/tables/metrics.parquet",
    log:
        f"{SHOWN}/logs/collect.log",
    params:
        settings=lambda wildcards: STUDY.collect(),
        upstream=f"metrics {lineage(*MEASURED)}",
        code=f"collecting code {fingerprint('analysis.collect')}",
        folder=subpath(output.runs, parent=True),
        study=subpath(output.runs, ancestor=len(Path(SHOWN).parts)),
    shell:
        "python -m memsweep collect --train {params.study:q}/train --measured {params.study:q}/measure"
        " --output {params.folder:q} <<< {params.settings:q} 2> {log:q}"
