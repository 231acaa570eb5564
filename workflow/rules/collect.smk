# The study's tables, from those of its packs.


rule collect:
    input:
        expand(f"{TRAIN}/runs.parquet", job=STUDY.jobs),
        expand(f"{TRAIN}/losses.parquet", job=STUDY.jobs),
        expand(f"{MEASURE}/metrics.parquet", job=STUDY.jobs),
        expand(f"{AGREE}/agreement.parquet", comparison=STUDY.comparisons),
        expand(f"{AGREE}/agreement_over_pairs.parquet", comparison=STUDY.comparisons),
    output:
        runs=f"{SHOWN}/tables/runs.parquet",
        trajectories=f"{SHOWN}/tables/trajectories.parquet",
        noise_levels=f"{SHOWN}/tables/noise_levels.parquet",
        metrics=f"{SHOWN}/tables/metrics.parquet",
        agreement=f"{SHOWN}/tables/agreement.parquet",
        agreement_over_pairs=f"{SHOWN}/tables/agreement_over_pairs.parquet",
    log:
        f"{SHOWN}/logs/collect.log",
    params:
        settings=lambda wildcards: STUDY.collect(),
        upstream=f"metrics {lineage(*MEASURED, AGREED)}",
        code=f"collecting code {fingerprint('analysis.collect')}",
        folder=subpath(output.runs, parent=True),
        study=subpath(output.runs, ancestor=len(Path(SHOWN).parts)),
    shell:
        "python -m memsweep collect --train {params.study:q}/train --measured {params.study:q}/measure"
        " --agreed {params.study:q}/agree --output {params.folder:q} <<< {params.settings:q} 2> {log:q}"
