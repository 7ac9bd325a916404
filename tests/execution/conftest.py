"""Quick jobs, which call a module of their own instead of training."""

import pytest

from leo_tf.execution import Job

TASK = """
import os, pathlib, signal, sys, time

def main():
    action, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    with open(folder / "calls", "a") as file:
        file.write("x")
    if action == "fail":
        print("Error: nothing there")
        sys.exit(2)
    if action == "die once" and len((folder / "calls").read_text()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "threads":
        (folder / "threads").write_text(os.environ["OMP_NUM_THREADS"])
    if action == "wait":
        def save(*_):
            (folder / "saved").touch()
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        (folder / "waits").touch()
        time.sleep(60)
    if action == "wait once" and not (folder / "waits").exists():
        (folder / "waits").touch()
        time.sleep(60)
    (folder / "result").touch()
"""


@pytest.fixture
def job_of(tmp_path, monkeypatch):
    """Function (name, action, ...) that returns a Job with a command for each action."""
    (tmp_path / "task.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)  # the workers find the module here

    def make(name, *actions):
        folder = tmp_path / "jobs" / name
        commands = tuple(("-m task", (action, str(folder))) for action in actions)
        return Job(name, folder, commands, folder / "result")

    return make
