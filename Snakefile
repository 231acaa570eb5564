# memsweep: when do diffusion models start to memorise?
#
#   config ──▶ prepare ──▶ train ──▶ measure ──▶ collect ──▶ analyse ──▶ conclude ──▶ judge ──▶ figures ──▶ report, summary
#
# Each stage is one file of rules; each rule calls `python -m memsweep <stage>`.

import os

from snakemake.utils import min_version

min_version("9.8")


# The study of the folder where Snakemake runs, or the embedded one, unless another is given with --configfile.
if not workflow.configfiles:
    given = "config/config.yaml"

    configfile: given if os.path.exists(given) else workflow.current_basedir.join(given).get_path_or_uri(secret_free=True)


include: "workflow/rules/config.smk"


# The stages of what is studied, as its kind has them.
for stage in STUDY.rules:

    include: f"workflow/rules/{stage}.smk"


include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/summary.smk"


rule all:
    """Every table and figure, and their pages."""
    input:
        rules.tables.input,
        rules.figures.input,
        PAGES,
        SUMMARY,
