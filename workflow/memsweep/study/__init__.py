"""What is asked for, before anything is computed: a config and its checks, the kinds of study, the grid and its runs,
the facts of datasets, and what all of it will cost and would train again.

It imports `base` alone and, of other libraries, yaml and jsonschema: Snakemake reads it again for every job.
"""
