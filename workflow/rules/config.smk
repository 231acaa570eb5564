# The configuration, checked before anything starts.

import gc
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

# Another workflow may have this one as a module. Its command line, its config files and its locks are then its own.
MODULE = not workflow.modifier.is_main_snakefile()
CONFIG_FILES = [] if MODULE else [Path(file) for file in workflow.configfiles]


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
from memsweep.base.machine import find_programs_first_in
from memsweep.study.config.rules.files import relative
from memsweep.study.kind import canonical, lineage
from memsweep.study.kinds import open_study
from snakemake.settings.types import SharedFSUsage

# The jobs of a large study are millions of objects that stay: look for garbage among them less often.
gc.set_threshold(100_000)


# Rules find the python that runs Snakemake first, whether or not its environment is activated; in a container, its own.
find_programs_first_in(Path(sys.executable).parent)

if {"{", "}"} & set(str(Path.cwd())):
    sys.exit(
        f"{Path.cwd()}: found a brace in the name of the working directory, where Snakemake fails; rename it"
    )

try:
    STUDY = open_study(config, CONFIG_FILES)
    STUDY.measure_networks()
except UserError as error:
    sys.exit(str(error))

# Each job of a cluster reads the study again: as it is now, whatever an editor does to its file in the meantime, or to
# that of a network that it names
shared = SharedFSUsage.SOURCES in workflow.storage_settings.shared_fs_usage
if workflow.is_main_process and shared and not MODULE:
    KEPT = Path(".snakemake/studies")
    networks = {
        str(Path(file).absolute()): str(kept_copy(Path(file), KEPT).absolute()) for file in STUDY.networks()
    }
    workflow.config_settings.configfiles = [
        kept_copy(file, KEPT, networks).absolute() for file in CONFIG_FILES
    ]

RESULTS = f"results/{STUDY.name}"
# Tables, figures and pages: of the whole study, or of the part that `substudy` chooses
SHOWN = f"results/{STUDY.place}"


# Ignored without `--software-deployment-method apptainer`
container: STUDY.config.get("container")


if workflow.is_main_process:
    for warning in STUDY.warnings:
        print(f"warning: {warning}", file=sys.stderr)

# Snakemake says that there is a lock, but not what to type
if workflow.is_main_process and not MODULE and not {"--unlock", "--nolock"} & set(sys.argv):
    if advice := lock_advice(RESULTS, map(relative, CONFIG_FILES)):
        print(advice, file=sys.stderr)


class Source(NamedTuple):
    """Where figures find a table: its files, a lineage of what it rests on, and, of several files, their folder."""

    files: Any
    upstream: str
    folder: str = ""


# Inputs are named by patterns, and not by the outputs of other rules, such as `rules.train.output`. Those cannot be
# expanded where results lie in object storage, and where a workflow overrides one rule of a module, Snakemake knows
# the others under other names.
def table(name):
    """The file of a table of the study."""
    return f"{SHOWN}/tables/{name}.parquet"


def tables_of(rule):
    """The files of the tables that a rule makes."""
    return [table(Path(str(file)).stem) for file in rule.output]


def sources(rule, upstream):
    """The tables that a rule makes, by name, for figures."""
    return {Path(file).stem: Source(file, upstream) for file in tables_of(rule)}


def own(paths):
    """Files of the user's own, which lie where they are said to be, whatever the `prefix` of a module."""
    return local(paths) if MODULE else paths


def placed(path):
    """Where a path of the rules lies, as their params say it: the `prefix` of a module stands before their files only."""
    return workflow.modifier.path_modifier.replace_prefix(path)
