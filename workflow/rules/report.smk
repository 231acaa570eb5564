# `snakemake --report report.html`: every figure and table marked with report(), with captions.


report: "../report/workflow.rst"
