"""A study whose results lie in S3-compatible storage, on loopback: the tables are those of a local run.

Needs `pip install -e '.[test,storage]' 'moto[server]'`:

    pytest tests/workflow/test_object_storage.py
"""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from helpers.projects import TINY, new_project
from memsweep.tables.frames import to_frame

NEEDED = {"snakemake_storage_plugin_s3": "snakemake-storage-plugin-s3", "moto": "moto", "flask": "moto[server]"}
MISSING = [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]
pytestmark = [
    pytest.mark.storage,
    pytest.mark.skipif(bool(MISSING), reason=f"storage on loopback needs {', '.join(MISSING)}"),
]
BUCKET = "studies"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an empty S3 server with one bucket."""
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket=BUCKET)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_tables_in_object_storage_are_those_of_a_local_run(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ACCESS_KEY": "test", "SECRET_KEY": "test", "ENDPOINT_URL": server}.items():
        monkeypatch.setenv(f"SNAKEMAKE_STORAGE_S3_{name}", value)
    table = "results/tiny/tables/metrics.parquet"
    local, stored = (new_project(tmp_path / name) for name in ("local", "stored"))
    for project in (local, stored):
        project.configure(grid={**TINY["grid"], "products": [{"learning_rate": [0.001, 0.002]}]})
    local.snakemake(table)
    storage = ["--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{BUCKET}"]
    stored.snakemake(table, *storage)
    assert not (stored.results / "tables").exists()
    files = pyarrow.fs.S3FileSystem(
        access_key="test", secret_key="test", endpoint_override=server, scheme="http", region="us-east-1"
    )
    for name in ("runs", "trajectories", "noise_levels", "metrics"):
        found = to_frame(pq.read_table(f"{BUCKET}/results/tiny/tables/{name}.parquet", filesystem=files))
        pd.testing.assert_frame_equal(found, local.table(f"tables/{name}.parquet"), check_exact=True)
    # Checkpoints are no outputs: they stay on the machine that trained
    assert len(list((stored.results / "checkpoints").glob("*/state.safetensors"))) == 2
    assert "Nothing to be done" in stored.snakemake(table, *storage).stdout
