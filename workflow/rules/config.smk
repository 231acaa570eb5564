# The configuration, checked and expanded before anything starts.

import shlex
import sys
from pathlib import Path

from memsweep.errors import UserError
from memsweep.provenance import fingerprint, training_code
from memsweep.study import Study, canonical, lineage

# Rules find the python that runs Snakemake first, whether or not its environment is activated.
shell.prefix(f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

try:
    STUDY = Study(config, [Path(file) for file in workflow.configfiles])
except UserError as error:
    sys.exit(str(error))

RESULTS = f"results/{STUDY.name}"


wildcard_constraints:
    job=r"all|\w+=[^/]+(/\w+=[^/]+)*",
    space="|".join(STUDY.config["metrics"]["spaces"]),
    axis="|".join(STUDY.axes),


# What each stage's results rest on.
PREPARED = lineage(canonical(STUDY.dataset()), fingerprint("datasets"))


def trained(job):
    return lineage(PREPARED, STUDY.train(job), training_code(), fingerprint("packs"))


def measured(job):
    return lineage(
        trained(job), STUDY.measure(), *(fingerprint(name) for name in ("classifier", "features", "measure"))
    )


MEASURED = [measured(job) for job in STUDY.jobs]
COLLECTED = lineage(*MEASURED, STUDY.collect(), fingerprint("collect"))
ANALYSED = lineage(COLLECTED, STUDY.analyse(), fingerprint("analyse"))


def figure_files(name, caption, **labels):
    """The files of a figure: the PDF to publish, the PNG for the report."""
    path = f"{RESULTS}/figures/{name}"
    png = report(f"{path}.png", category="Figures", caption=f"../report/{caption}.rst", labels=labels)
    return [f"{path}.pdf", png]


def figure_code(name):
    return f"figure code {fingerprint(f'figures.{name}')}"
