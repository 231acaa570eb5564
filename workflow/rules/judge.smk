# The verdict on each claim of the papers that a study of this kind can speak to, from all of its tables; and these.

JUDGED = lineage(ESTIMATED, STUDY.judge(), fingerprint("claims.judge"))


rule judge:
    """The verdict on each claim of the papers that a study of this kind can speak to."""
    input:
        *ESTIMATES,
    output:
        f"{SHOWN}/tables/claims.parquet",
    log:
        f"{SHOWN}/logs/judge.log",
    localrule: True
    params:
        settings=lambda wildcards: STUDY.judge(),
        upstream=f"tables {ESTIMATED}",
        code=f"judging code {fingerprint('claims.judge')}",
        folder=subpath(output[0], parent=True),
    shell:
        "python -m memsweep judge --tables {params.folder:q} --output {output:q} <<< {params.settings:q} 2> {log:q}"


rule tables:
    """Every table of the study."""
    input:
        *ESTIMATES,
        table("claims"),
    params:
        upstream=f"tables {JUDGED}",


SOURCES |= sources(rules.judge, JUDGED)
