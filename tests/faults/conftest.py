"""The runs that are struck at, and the one that is left alone."""

import tempfile
from pathlib import Path

import pytest
from harness import Runs, compiled_strike


@pytest.fixture(scope="session")
def runs():
    """Runs, in folders that another user may pass through."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        runs = Runs(Path(folder), compiled_strike(Path(folder)))
        yield runs
        runs.close()


@pytest.fixture(scope="session")
def whole(runs, tmp_path_factory):
    """The folder of the run that was left alone."""
    path = tmp_path_factory.mktemp("whole") / "run"
    runs.finish(path)
    return path
