"""The wheel: it has every file of the package, its licences, and no typefaces or images."""

import email
import re
import subprocess
import sys
from pathlib import Path

import characters
import fonts
import numpy as np
import pytest

import leo_tf
from leo_tf.data.glyphs import SPLITS

PACKAGE = Path(leo_tf.__file__).parent
GLYPHS = PACKAGE / "data" / "glyphs"


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_build_has_every_file_and_the_flagfiles(tmp_path):
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(command, cwd=PACKAGE.parent, check=True, capture_output=True)
    flagfiles = {f"configs/{name}" for name in files_of(PACKAGE.parent / "configs")}
    assert files_of(tmp_path / "leo_tf") == files_of(PACKAGE) | flagfiles


def test_metadata_has_the_licences(tmp_path):
    command = [sys.executable, "setup.py", "--quiet", "dist_info", "--output-dir", str(tmp_path)]
    subprocess.run(command, cwd=PACKAGE.parent, check=True, capture_output=True)
    (folder,) = tmp_path.glob("*.dist-info")
    metadata = email.message_from_string((folder / "METADATA").read_text(encoding="utf-8"))
    assert metadata["License"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE", "leo_tf/data/glyphs/NOTICE.md"]
    for name in metadata.get_all("License-File"):
        assert (folder / "licenses" / name).read_bytes() == (PACKAGE.parent / name).read_bytes()


@pytest.mark.long
def test_notice_names_every_typeface_that_drew_a_letter():
    notice = (GLYPHS / "NOTICE.md").read_text(encoding="utf-8")
    drawn = [fonts.faces_of(character.code_point) for character in characters.select()]
    for line in (line for line in notice.splitlines() if re.match(r"\| (DejaVu|STIX|cm)", line)):
        faces, number = (cell.strip() for cell in line.split("|")[1:3])
        faces = set(faces.partition(" (")[0].split(", "))
        assert sum(not faces.isdisjoint(by) for by in drawn) == int(number)
        drawn = [set(by) - faces for by in drawn]
    assert set().union(*drawn) == set()


def test_built_in_data_are_only_numbers_and_names():
    """As the notice says: no typefaces, no images."""
    assert {path.suffix for path in GLYPHS.iterdir() if path.is_file()} == {".json", ".md", ".npz", ".py"}
    for split in SPLITS:
        with np.load(GLYPHS / f"{split}.npz") as arrays:
            assert {name: arrays[name].ndim for name in arrays} == {"embeddings": 2, "classes": 1, "class_numbers": 1}
            assert arrays["embeddings"].shape[1] == 128
