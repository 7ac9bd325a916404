"""Jobs that are quick: a module beside them that does as its flag says."""

import pytest

from leo_tf.execution import Job

TASK = """
import os, pathlib, signal, sys, time

def main():
    what, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    with open(folder / "calls", "a") as file:
        file.write("x")
    if what == "fail":
        print("Error: nothing there")
        sys.exit(2)
    if what == "die once" and len((folder / "calls").read_text()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "threads":
        (folder / "threads").write_text(os.environ["OMP_NUM_THREADS"])
    if what == "wait":
        def save(*_):
            (folder / "saved").touch()
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        (folder / "waits").touch()
        time.sleep(60)
    if what == "wait once" and not (folder / "waits").exists():
        (folder / "waits").touch()
        time.sleep(60)
    (folder / "result").touch()
"""


@pytest.fixture
def job_of(tmp_path, monkeypatch):
    """Return a function (name, what to do, ...) -> Job."""
    (tmp_path / "task.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)  # the workers find the module here

    def make(name, *whats):
        folder = tmp_path / "jobs" / name
        commands = tuple(("-m task", (what, str(folder))) for what in whats)
        return Job(name, folder, commands, folder / "result")

    return make
