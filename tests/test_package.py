"""What is installed is what is here."""

import subprocess
import sys
from pathlib import Path

import leo_tf

PACKAGE = Path(leo_tf.__file__).parent


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_the_package_ships_every_file(tmp_path):
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(command, cwd=PACKAGE.parent, check=True, capture_output=True)
    assert files_of(tmp_path / "leo_tf") == files_of(PACKAGE)
