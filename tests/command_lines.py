"""Commands as a user runs them, each in its own process."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def command(*arguments):
    """Run Python with these arguments in the project's folder, without the log level that tests set."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT,
        env=environment,
    )  # fmt: skip


def assert_refused(done, *fragments):
    """Check that a command ended with one message that has these fragments, printed last, and status 2."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("Error: ") == 1
    lines = done.stderr.splitlines()
    message = "\n".join(lines[-2:] if lines[-1].startswith("Flags: ") else lines[-1:])
    assert message.startswith("Error: ")
    for fragment in fragments:
        assert fragment in message
