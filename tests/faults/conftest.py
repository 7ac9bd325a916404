"""Runs with injected faults, and the reference run without any."""

import tempfile
from pathlib import Path

import pytest
from harness import Runs, compile_fault_injection


@pytest.fixture(scope="session")
def runs():
    """Runs whose output other users can read."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        runs = Runs(Path(folder), compile_fault_injection(Path(folder)))
        yield runs
        runs.close()


@pytest.fixture(scope="session")
def reference(runs, tmp_path_factory):
    """The directory of the run without faults."""
    path = tmp_path_factory.mktemp("reference") / "run"
    runs.finish(path)
    return path
