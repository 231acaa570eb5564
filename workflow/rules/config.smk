# The configuration, checked before anything starts.

import gc
import shlex
import sys
from pathlib import Path

from memsweep.base.errors import UserError
from memsweep.base.provenance import fingerprint
from memsweep.study.kind import canonical, lineage
from memsweep.study.kinds import open_study

# The jobs of a large study are millions of objects that stay: look for garbage among them less often.
gc.set_threshold(100_000)

# Rules find the python that runs Snakemake first, whether or not its environment is activated.
shell.prefix(f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

try:
    STUDY = open_study(config, [Path(file) for file in workflow.configfiles])
except UserError as error:
    sys.exit(str(error))

RESULTS = f"results/{STUDY.name}"
# Tables, figures and pages: of the whole study, or of the part that `substudy` chooses
SHOWN = f"results/{STUDY.place}"


def figure_files(name, caption="", **labels):
    """The files of a figure: the PDF to publish, the PNG for the report, with the caption of that name."""
    caption = caption or name
    path = f"{SHOWN}/figures/{name}"
    png = report(f"{path}.png", category="Figures", caption=f"../report/{caption}.rst", labels=labels)
    return [f"{path}.pdf", png]


def figure_code(name):
    return f"figure code {fingerprint(f'figures.{STUDY.kind}.{name}')}"
