# Each figure is a rule of its own: `snakemake results/<study>/figures/<name>.pdf` brings just
# that one up to date.

FIGURES = f"{RESULTS}/figures"
TABLES = f"{RESULTS}/tables"


def formats(name, **labels):
    """The files of a figure; the PNG stands in the report."""
    caption = f"../report/{name.split('_{')[0]}.rst"
    return {
        "pdf": f"{FIGURES}/{name}.pdf",
        "png": report(f"{FIGURES}/{name}.png", category="Figures", caption=caption, labels=labels),
    }
