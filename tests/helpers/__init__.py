"""What several tests share: settings of small packs, and projects in which Snakemake runs."""
