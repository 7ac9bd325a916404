"""Fixtures of the tests of many workers."""

import tempfile
from pathlib import Path

import pytest
from harness import Runs
from worker_processes import Workers


@pytest.fixture(scope="session")
def runs():
    """Runs of one or many workers."""
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(Path(folder), None)
        yield runs
        runs.close()


@pytest.fixture
def workers(runs):
    """Workers, all of which have ended after the test."""
    with Workers(runs) as found:
        yield found
