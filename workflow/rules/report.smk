# `snakemake --report report.html`: every figure and table on one page, with captions.


report: "../report/workflow.rst"


TABLES = [*rules.collect.output.keys(), *rules.analyse.output.keys()]


rule table_pages:
    input:
        rules.collect.output,
        rules.analyse.output,
    output:
        [
            report(
                f"{RESULTS}/report/{table}.html",
                category="Tables",
                caption=f"../report/{table}.rst",
                labels={"table": table},
            )
            for table in TABLES
        ],
    log:
        f"{RESULTS}/logs/table_pages.log",
    params:
        upstream=f"tables {ANALYSED}",
        code=f"page code {fingerprint('pages')}",
        tables=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
    shell:
        "python -m memsweep pages --tables {params.tables} --output {params.folder} <<< {{}} 2> {log}"
