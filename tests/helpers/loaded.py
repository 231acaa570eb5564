"""A `python`, a `snakemake` and a `memsweep` that have loaded their libraries already.

A study starts dozens of processes, and most of their time goes into loading torch, pandas or Snakemake. Here a server
loads them once and forks for each command, which is given the folder, the environment and the open files of the program
that asked. The library itself, which tests change, is loaded by each command anew.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

LIBRARIES = (
    "jsonschema",
    "pyarrow.parquet",
    "seaborn",
    "sklearn.datasets",
    "snakemake.cli",
    "torch._dynamo",
    "yaml",
)  # fmt: skip

# As small as can be: it starts in a fiftieth of a second
PROGRAM = """\
#!{python} -IS
import json, os, socket, sys
arguments = [{words} *sys.argv[1:]]
if arguments[:1] != ["-m"]:
    os.execv({python!r}, [{python!r}, *arguments])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    command = json.dumps([__file__, arguments[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(command).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(command)
    status = int(server.recv(8) or 1)
sys.exit(status if status >= 0 else 128 - status)
"""


@functools.cache
def programs() -> Path:
    """A folder with all three, for the front of a path; what serves them ends with this process."""
    folder = Path(tempfile.mkdtemp(prefix="memsweep-loaded-"))
    address = str(folder / "server")
    for name, words in (("python", ""), *((module, f'"-m", "{module}",') for module in ("snakemake", "memsweep"))):
        (folder / name).write_text(PROGRAM.format(python=sys.executable, words=words, address=address))
        (folder / name).chmod(0o755)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # Its standard input ends when this process does
    subprocess.Popen(
        [sys.executable, __file__, str(listener.fileno())],
        env=environment,
        pass_fds=[listener.fileno()],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def serve(listener: socket.socket) -> None:
    """Fork for each command; returns in each fork, where the command is still to be run."""
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _attend(connection)
            return
        connection.close()
    os.killpg(0, signal.SIGKILL)


def _attend(connection: socket.socket) -> None:
    """Become the command that is asked for, in a process whose parent says how it ended."""
    length, files, *_ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as asked:
        executable, arguments, folder, environment = json.loads(asked.read(int.from_bytes(length, "big")))
    if command := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        connection.sendall(str(status).encode())
        os._exit(0)
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in environment
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:1] = [folder, *paths]
    sys.argv = arguments
    # Which `python` the jobs of a workflow are
    sys.executable = str(Path(executable).parent / "python")


def run() -> None:
    """Run the command of this process, which ends without taking apart all that it never used: that takes longer."""
    status: object = None
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        status = ended.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    atexit._run_exitfuncs()
    for file in (sys.stdout, sys.stderr):
        file.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    run()
