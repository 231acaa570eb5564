# The configuration, checked before anything starts.

import gc
import shlex
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple


# Until its first job Snakemake answers Ctrl-C by a traceback, but an exit by its message; from then on both alike.
def stop_on_request(number, frame):
    sys.exit("stopped on request; the same command again goes on from here")


if threading.current_thread() is threading.main_thread():
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop_on_request)

from memsweep.base.errors import UserError
from memsweep.base.files import kept_copy
from memsweep.base.fingerprints import fingerprint
from memsweep.base.locks import lock_advice
from memsweep.study.config.rules.files import relative
from memsweep.study.kind import canonical, lineage
from memsweep.study.kinds import open_study
from snakemake.settings.types import SharedFSUsage

# The jobs of a large study are millions of objects that stay: look for garbage among them less often.
gc.set_threshold(100_000)


# Rules find the python that runs Snakemake first, whether or not its environment is activated.
# Snakemake formats the line, in which braces are doubled.
PYTHON = shlex.quote(str(Path(sys.executable).parent))
shell.prefix("PATH={}:$PATH; ".format(PYTHON.replace("{", "{{").replace("}", "}}")))

if {"{", "}"} & set(str(Path.cwd())):
    sys.exit(
        f"{Path.cwd()}: found a brace in the name of the working directory, where Snakemake fails; rename it"
    )

try:
    STUDY = open_study(config, [Path(file) for file in workflow.configfiles])
    STUDY.measure_networks()
except UserError as error:
    sys.exit(str(error))

# Each job of a cluster reads the study again: as it is now, whatever an editor does to its file in the meantime, or to
# that of a network that it names
if workflow.is_main_process and SharedFSUsage.SOURCES in workflow.storage_settings.shared_fs_usage:
    KEPT = Path(".snakemake/studies")
    networks = {
        str(Path(file).absolute()): str(kept_copy(Path(file), KEPT).absolute()) for file in STUDY.networks()
    }
    workflow.config_settings.configfiles = [
        kept_copy(Path(file), KEPT, networks).absolute() for file in workflow.configfiles
    ]

RESULTS = f"results/{STUDY.name}"
# Tables, figures and pages: of the whole study, or of the part that `substudy` chooses
SHOWN = f"results/{STUDY.place}"

if workflow.is_main_process:
    for warning in STUDY.warnings:
        print(f"warning: {warning}", file=sys.stderr)

# Snakemake says that there is a lock, but not what to type
if workflow.is_main_process and not {"--unlock", "--nolock"} & set(sys.argv):
    if advice := lock_advice(RESULTS, [relative(Path(file)) for file in workflow.configfiles]):
        print(advice, file=sys.stderr)


class Source(NamedTuple):
    """Where figures find a table: its files, a lineage of what it rests on, and, of several files, their folder."""

    files: Any
    upstream: str
    folder: str = ""
