# Onsets of memorisation, how they scale along each axis, at each threshold, or differ between its values, peak fidelity
# and rate on either side of them, and which training images are copied first.


rule analyse:
    """When each run memorises, and how that goes with every axis; peaks, rates, and which images are copied first."""
    input:
        table("runs"),
        table("metrics"),
        expand(f"{TRAIN}/losses.parquet", job=STUDY.jobs),
        expand(f"{MEASURE}/neighbours.parquet", job=STUDY.jobs),
        expand(f"{AGREE}/paired_samples.parquet", comparison=STUDY.comparisons),
        images=IMAGES,
    output:
        onsets=f"{SHOWN}/tables/onsets.parquet",
        onsets_over_repetitions=f"{SHOWN}/tables/onsets_over_repetitions.parquet",
        scaling=f"{SHOWN}/tables/scaling.parquet",
        thresholds=f"{SHOWN}/tables/thresholds.parquet",
        local_slopes=f"{SHOWN}/tables/local_slopes.parquet",
        ratios=f"{SHOWN}/tables/ratios.parquet",
        peaks=f"{SHOWN}/tables/peaks.parquet",
        fidelity_trends=f"{SHOWN}/tables/fidelity_trends.parquet",
        rates=f"{SHOWN}/tables/rates.parquet",
        rate_trends=f"{SHOWN}/tables/rate_trends.parquet",
        leads=f"{SHOWN}/tables/leads.parquet",
        excess=f"{SHOWN}/tables/excess.parquet",
        copied_images=f"{SHOWN}/tables/copied_images.parquet",
        copied_first=f"{SHOWN}/tables/copied_first.parquet",
    log:
        f"{SHOWN}/logs/analyse.log",
    params:
        settings=lambda wildcards: STUDY.analyse(),
        upstream=f"tables {COLLECTED}",
        code=f"analysis code {fingerprint('analysis.analyse')}",
        folder=subpath(output.onsets, parent=True),
        study=subpath(output.onsets, ancestor=len(Path(SHOWN).parts)),
    shell:
        "python -m memsweep analyse --images {input.images:q} --tables {params.folder:q}"
        " --train {params.study:q}/train --measured {params.study:q}/measure --agreed {params.study:q}/agree"
        " --output {params.folder:q} <<< {params.settings:q} 2> {log:q}"
