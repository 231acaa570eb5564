# `snakemake --report report.html`: every figure and table on one page, with captions.


# A workflow that has this one as a module begins its report itself
if not MODULE:

    report: f"../report/kinds/{STUDY.kind}.rst"


TABLES = [Path(str(file)).stem for file in rules.tables.input]
PAGES = [f"{SHOWN}/report/{name}.html" for name in TABLES]


rule table_pages:
    """Every table as a page of the report."""
    input:
        rules.tables.input,
    output:
        [
            report(
                page,
                category="Tables",
                caption=f"../report/tables/{name}.rst",
                labels={"table": name},
            )
            for name, page in zip(TABLES, PAGES)
        ],
    log:
        f"{SHOWN}/logs/table_pages.log",
    localrule: True
    params:
        settings=lambda wildcards: canonical({"tables": TABLES}),
        upstream=rules.tables.params.upstream,
        code=f"page code {fingerprint('report.pages')}",
        tables=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
    shell:
        "python -m memsweep pages --tables {params.tables:q} --output {params.folder:q} <<< {params.settings:q} 2> {log:q}"
