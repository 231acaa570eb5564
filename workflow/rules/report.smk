# `snakemake --report report.html`: every figure and table on one page, with captions.


report: f"../report/kinds/{STUDY.kind}.rst"


TABLES = [Path(str(table)).stem for table in rules.tables.input]


localrules:
    table_pages,


rule table_pages:
    input:
        rules.tables.input,
    output:
        [
            report(
                f"{SHOWN}/report/{table}.html",
                category="Tables",
                caption=f"../report/tables/{table}.rst",
                labels={"table": table},
            )
            for table in TABLES
        ],
    log:
        f"{SHOWN}/logs/table_pages.log",
    params:
        settings=lambda wildcards: canonical({"tables": TABLES}),
        upstream=rules.tables.params.upstream,
        code=f"page code {fingerprint('report.pages')}",
        tables=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
    shell:
        "python -m memsweep pages --tables {params.tables:q} --output {params.folder:q} <<< {params.settings:q} 2> {log:q}"
