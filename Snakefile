# memsweep: when do diffusion models start to memorise?
#
#   config ──▶ prepare ──▶ train ──▶ measure ──▶ collect ──▶ analyse ──▶ conclude ──▶ judge ──▶ figures ──▶ report, summary
#
# Each stage is one file of rules; each rule calls `python -m memsweep <stage>`.

from snakemake.utils import min_version

min_version("9.8")


# The embedded study, unless another is given with --configfile.
if not workflow.configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/config.smk"


# The stages of what is studied, as its kind has them.
for stage in STUDY.rules:

    include: f"workflow/rules/{stage}.smk"


include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/summary.smk"


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        rules.table_pages.output,
        rules.summary.output,
