# What a figure is drawn from, and the files that it is.


def figure_sources(figure):
    """The tables of a figure by name: files, or a folder of them."""
    return {table.rpartition("/")[2]: SOURCES[table] for table in figure.tables}


def figure_files(figure):
    """The PDF to publish, and the PNG for the report."""
    path, caption = f"{SHOWN}/figures/{figure.path}", f"../report/figures/{figure.name}.rst"
    return [f"{path}.pdf", report(f"{path}.png", category="Figures", caption=caption, labels=figure.labels)]


def figure_arguments(figure, files):
    """The tables of a figure as the command takes them; one of several files, as their folder."""
    sources = figure_sources(figure).items()
    return [f"{name}={source.folder or files.get(name)}" for name, source in sources]
