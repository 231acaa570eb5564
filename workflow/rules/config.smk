# The configuration, checked before anything starts.

import shlex
import sys
from pathlib import Path

from memsweep.errors import UserError
from memsweep.provenance import fingerprint
from memsweep.study import canonical, lineage, open_study

# Rules find the python that runs Snakemake first, whether or not its environment is activated.
shell.prefix(f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

try:
    STUDY = open_study(config, [Path(file) for file in workflow.configfiles])
except UserError as error:
    sys.exit(str(error))

RESULTS = f"results/{STUDY.name}"


def figure_files(name, caption, **labels):
    """The files of a figure: the PDF to publish, the PNG for the report."""
    path = f"{RESULTS}/figures/{name}"
    png = report(f"{path}.png", category="Figures", caption=f"../report/{caption}.rst", labels=labels)
    return [f"{path}.pdf", png]


def figure_code(name):
    return f"figure code {fingerprint(f'figures.{name}')}"
