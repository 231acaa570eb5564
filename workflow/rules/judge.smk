# The verdict on each claim of the papers that a study of this kind can speak to, from all of its tables; and these.

JUDGED = lineage(ESTIMATED, STUDY.judge(), fingerprint("claims.judge"))


localrules:
    judge,


rule judge:
    input:
        *ESTIMATES,
    output:
        f"{SHOWN}/tables/claims.parquet",
    log:
        f"{SHOWN}/logs/judge.log",
    params:
        settings=lambda wildcards: STUDY.judge(),
        upstream=f"tables {ESTIMATED}",
        code=f"judging code {fingerprint('claims.judge')}",
        folder=subpath(output[0], parent=True),
    shell:
        "python -m memsweep judge --tables {params.folder:q} --output {output:q} <<< {params.settings:q} 2> {log:q}"


rule tables:
    input:
        *ESTIMATES,
        rules.judge.output,
    params:
        upstream=f"tables {JUDGED}",


SOURCES["claims"] = Source(rules.judge.output[0], JUDGED)
