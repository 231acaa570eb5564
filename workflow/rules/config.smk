# The configuration, checked and expanded before anything starts.

import os
import sys
from pathlib import Path

from memsweep.errors import UserError
from memsweep.provenance import fingerprint, training_code
from memsweep.study import Study

# The rules run under the interpreter that runs Snakemake, whether or not its environment is activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

try:
    STUDY = Study(config, [Path(file) for file in workflow.configfiles])
except UserError as error:
    sys.exit(str(error))

RESULTS = f"results/{STUDY.name}"


wildcard_constraints:
    job="|".join(STUDY.jobs),
    space="|".join(STUDY.config["metrics"]["spaces"]),
    axis="|".join(STUDY.axes),
