# The verdict on each claim of the papers that a study of this kind can speak to, from all of its tables; and these.

JUDGED = lineage(ESTIMATED, STUDY.claims(), fingerprint("claims.stage"))


localrules:
    claims,


rule claims:
    input:
        *ESTIMATES,
    output:
        f"{SHOWN}/tables/claims.parquet",
    log:
        f"{SHOWN}/logs/claims.log",
    params:
        settings=lambda wildcards: STUDY.claims(),
        upstream=f"tables {ESTIMATED}",
        code=f"claims code {fingerprint('claims.stage')}",
        folder=subpath(output[0], parent=True),
    shell:
        "python -m memsweep claims --tables {params.folder:q} --output {output:q} <<< {params.settings:q} 2> {log:q}"


rule tables:
    input:
        *ESTIMATES,
        rules.claims.output,
    params:
        upstream=f"tables {JUDGED}",


SOURCES["claims"] = Source(rules.claims.output[0], JUDGED)
