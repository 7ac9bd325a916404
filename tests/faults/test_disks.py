"""Disks that are full or read-only, and files of other users."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from harness import distinct, files_of, require_error, require_same

pytestmark = pytest.mark.long


def test_full_disk_at_every_write(runs, reference, tmp_path):
    """The disk is full from some write on; with free space again, the run resumes."""
    changes = runs.changes(tmp_path / "counted", how="full")
    for number in distinct(changes):
        path = tmp_path / f"run{number}"
        require_error(runs.train_with_fault(path, number, how="full"), "Cannot write")
        runs.finish(path)
        require_same(path, reference)


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
def test_small_disk(runs, reference, tmp_path, share):
    """A file system that only has space for a share of the run's files."""
    disk, size = tmp_path / "disk", sum(file.stat().st_size for file in reference.rglob("*") if file.is_file())
    with small_disk(disk, max(4, int(share * size / 1024))):
        require_error(runs.train(disk / "run"), "Cannot write")
        subprocess.run(["mount", "-o", f"remount,size={10 * size}", str(disk)], check=True)
        runs.finish(disk / "run")
        require_same(disk / "run", reference)


@pytest.fixture
def other():
    """A function that gives a directory to another user, below a directory that everybody can enter."""
    if os.getuid() or not sys.platform.startswith("linux") or os.uname().machine != "x86_64":
        pytest.skip("needs to be root on Linux, x86-64, to give files to another user")
    with tempfile.TemporaryDirectory() as folder:

        def give(path):
            for each in [path, *path.rglob("*")]:
                os.chown(each, 65534, 65534)
            return path

        Path(folder).chmod(0o755)
        give.folder = Path(folder)
        yield give


def as_other(runs, script, *arguments):
    return runs.start(script, *arguments, patch=["drop_capabilities"])


def test_read_only_directory(runs, reference, other):
    """Neither a new nor an existing run starts, and nothing changes."""
    shutil.copytree(reference, other.folder / "run")
    for path in (other.folder / "run", other.folder / "none"):
        path.mkdir(exist_ok=True)
        other(path)
        before = files_of(path)
        require_error(runs.train(path, patch=["drop_capabilities"]), "Cannot write the run directory")
        assert files_of(path) == before


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_another_user_evaluates_a_run(runs, other, umask):
    path, output = other.folder / "run", other.folder / "mine.json"
    runs.finish(path, umask=umask)
    other(path)
    evaluate = f"--checkpoint_path={path}", "--num_tasks=10"
    if umask == 0o077:
        require_error(as_other(runs, "evaluate.py", *evaluate, f"--output={output}"), "cannot be read")
        return
    process = as_other(runs, "evaluate.py", *evaluate, f"--output={output}")
    assert process.wait() == 0 and output.exists(), process.output
    require_error(as_other(runs, "evaluate.py", *evaluate), "Cannot write")
    assert all(os.stat(file).st_mode & 0o777 == 0o644 for file in path.rglob("*") if file.is_file())
