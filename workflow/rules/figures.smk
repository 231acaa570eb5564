# Each figure is a rule of its own: `snakemake results/<study>/figures/<name>.pdf` brings just
# that one up to date. On a cluster they are drawn where Snakemake itself runs, as each takes seconds.
# What there is to draw, and from which tables, is said by the kind of study, in its `figures`.


include: "figure_files.smk"


for figure in STUDY.figures:

    rule:
        """A figure, to publish and for the report."""
        name:
            figure.name
        input:
            **{name: source.files for name, source in figure_sources(figure).items()},
        output:
            figure_files(figure),
        log:
            f"{SHOWN}/logs/figures/{figure.path}.log",
        localrule: True
        params:
            sources=lambda wildcards, input, figure=figure: figure_arguments(figure, input),
            settings=lambda wildcards, figure=figure: STUDY.figure(figure, **wildcards),
            upstream=f"tables {lineage(*sorted({source.upstream for source in figure_sources(figure).values()}))}",
            code=f"figure code {fingerprint(f'figures.{figure.module(STUDY.kind)}')}",
        shell:
            "python -m memsweep figure --source {params.sources:q} --output {output:q} <<< {params.settings:q} 2> {log:q}"


rule figures:
    """Every figure of the study."""
    input:
        [f"{SHOWN}/figures/{path}.{kind}" for path in STUDY.drawn for kind in ("pdf", "png")],
