# The page that gives the answer first: sentences, figures, tables, runs to look through, and methods.


from memsweep.base.fingerprints import PACKAGE

SUMMARY = f"{SHOWN}/summary.html"

# What it is written with besides code, which Snakemake does not see either: template, style, script, and captions.
BESIDE = PACKAGE.parent
ASSETS = [file for kind in ("j2", "css", "js") for file in BESIDE.glob(f"memsweep/report/summary/*.{kind}")]
CAPTIONS = BESIDE.joinpath("report").glob("*/*.rst")
PAGE_ASSETS = lineage(*(file.read_text() for file in sorted([*ASSETS, *CAPTIONS])))


rule summary:
    """The page that gives the answer first."""
    input:
        rules.tables.input,
        [f"{SHOWN}/figures/{path}.png" for path in STUDY.drawn],
        [f"{RESULTS}/{path}" for path in STUDY.explored_files],
    output:
        SUMMARY,
    log:
        f"{SHOWN}/logs/summary.log",
    localrule: True
    params:
        settings=lambda wildcards: canonical({"config": STUDY.config, "asked": config, "tables": TABLES}),
        upstream=rules.tables.params.upstream,
        code=f"page code {fingerprint('report.summary.page')} {PAGE_ASSETS}",
        study=subpath(output[0], ancestor=len(Path(SHOWN).parts) - 1),
    shell:
        "python -m memsweep summarise --study {params.study:q} --output {output:q} <<< {params.settings:q} 2> {log:q}"
