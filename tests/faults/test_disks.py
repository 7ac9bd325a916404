"""Disks that are full or cannot be written, and files of other users."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from harness import distinct, files_of, require_same

pytestmark = pytest.mark.long


def require_refused(process, message):
    """Require exit status 2 with one message, the last thing printed, and no traceback."""
    assert process.wait() == 2, process.said
    last = process.said.splitlines()[-1]
    assert last.startswith("Error: ") and message in last and "Traceback" not in process.said, process.said


def test_a_full_disk_at_every_write(runs, whole, tmp_path):
    """From any write on nothing grows; with room again the run goes on."""
    changes = runs.changes(tmp_path / "counted", how="full")
    for number in distinct(changes):
        path = tmp_path / f"run{number}"
        require_refused(runs.strike(path, number, how="full"), "Cannot write")
        runs.finish(path)
        require_same(path, whole)


@contextlib.contextmanager
def small_disk(path, kilobytes):
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "leo", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.9])
def test_a_small_disk(runs, whole, tmp_path, share):
    """A real one, that holds only so much of what the run comes to."""
    disk, size = tmp_path / "disk", sum(file.stat().st_size for file in whole.rglob("*") if file.is_file())
    with small_disk(disk, max(4, int(share * size / 1024))):
        require_refused(runs.train(disk / "run"), "Cannot write")
        subprocess.run(["mount", "-o", f"remount,size={10 * size}", str(disk)], check=True)
        runs.finish(disk / "run")
        require_same(disk / "run", whole)


@pytest.fixture
def other():
    """A function that gives a folder to another user, in a folder through which everybody may pass."""
    if os.getuid() or not sys.platform.startswith("linux") or os.uname().machine != "x86_64":
        pytest.skip("needs to be root on Linux, x86-64, to make files another user's")
    with tempfile.TemporaryDirectory() as folder:

        def give(path):
            for each in [path, *path.rglob("*")]:
                os.chown(each, 65534, 65534)
            return path

        Path(folder).chmod(0o755)
        give.folder = Path(folder)
        yield give


def as_other(runs, script, *arguments):
    return runs.start(script, *arguments, prepare=["lose_powers"])


def test_a_folder_that_cannot_be_written(runs, whole, other):
    """New runs and begun ones are refused, and nothing changes."""
    shutil.copytree(whole, other.folder / "run")
    for path in (other.folder / "run", other.folder / "none"):
        path.mkdir(exist_ok=True)
        other(path)
        before = files_of(path)
        require_refused(runs.train(path, prepare=["lose_powers"]), "Cannot write the run folder")
        assert files_of(path) == before


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_another_user_reads_the_results(runs, other, umask):
    path, output = other.folder / "run", other.folder / "mine.json"
    runs.finish(path, umask=umask)
    other(path)
    evaluate = f"--checkpoint_path={path}", "--num_tasks=10"
    if umask == 0o077:
        require_refused(as_other(runs, "evaluate.py", *evaluate, f"--output={output}"), "cannot be read")
        return
    process = as_other(runs, "evaluate.py", *evaluate, f"--output={output}")
    assert process.wait() == 0 and output.exists(), process.said
    require_refused(as_other(runs, "evaluate.py", *evaluate), "Cannot write")
    assert all(os.stat(file).st_mode & 0o777 == 0o644 for file in path.rglob("*") if file.is_file())
