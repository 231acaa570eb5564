# memsweep: when do diffusion models start to memorise?
#
#   config ──▶ prepare ──▶ train ──▶ measure ──▶ collect ──▶ analyse ──▶ figures ──▶ report
#
# Each stage is one file of rules; each rule calls `python -m memsweep <stage>`.

from snakemake.utils import min_version

min_version("9.8")


# The embedded study, unless another is given with --configfile.
if not workflow.configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/config.smk"


if STUDY.kind == "sweep":

    include: "workflow/rules/prepare.smk"
    include: "workflow/rules/sweep.smk"
    include: "workflow/rules/surrogates.smk"
    include: "workflow/rules/train.smk"
    include: "workflow/rules/measure.smk"
    include: "workflow/rules/collect.smk"
    include: "workflow/rules/analyse.smk"
    include: "workflow/rules/figures.smk"

elif STUDY.kind == "mixed_cumulant":

    include: "workflow/rules/mixed_cumulant.smk"

elif STUDY.kind == "feature_learning":

    include: "workflow/rules/prepare.smk"
    include: "workflow/rules/feature_learning.smk"


include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        rules.table_pages.output,
