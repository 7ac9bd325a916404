"""What the tests of many workers share."""

import sys
import tempfile
from pathlib import Path

import pytest
from worker_processes import Workers

sys.path.append(str(Path(__file__).parents[1] / "faults"))  # starts scripts in forks, seconds faster

from harness import Runs


@pytest.fixture(scope="session")
def runs():
    """Runs, for those of one device too."""
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(Path(folder), None)
        yield runs
        runs.close()


@pytest.fixture
def workers(runs):
    """Workers, none of which outlives the test."""
    with Workers(runs) as found:
        yield found
