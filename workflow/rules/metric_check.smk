# What each metric reads: constructed generators of known faults, drawn from the study's own images. It trains nothing.

CHECKED = lineage(PREPARED, STUDY.metric_check(), fingerprint("metrics.metric_check"))


rule check_metrics:
    """What each metric reads of constructed generators with known faults."""
    input:
        images=IMAGES,
    output:
        f"{SHOWN}/tables/metric_check.parquet",
    log:
        f"{SHOWN}/logs/metric_check.log",
    params:
        settings=lambda wildcards: STUDY.metric_check(),
        upstream=f"data {PREPARED}",
        code=f"metric code {fingerprint('metrics.metric_check')}",
    shell:
        "python -m memsweep metric_check --images {input.images:q} --output {output:q}"
        " <<< {params.settings:q} 2> {log:q}"
