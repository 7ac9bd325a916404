"""Dockerfile: its instructions fit this repository, as far as that can be checked without Docker."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import leo_tf

ROOT = Path(leo_tf.__file__).parents[1]
SETUP = (ROOT / "setup.py").read_text(encoding="utf-8")
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = [line for line in TEXT.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
INSTRUCTIONS = [tuple(line.split(None, 1)) for line in LINES]
COPIED = {name for word, rest in INSTRUCTIONS if word == "COPY" for name in rest.split()[:-1]}
COMMANDS = [shlex.split(part) for word, rest in INSTRUCTIONS if word == "RUN" for part in rest.split("&&")]


def argument(word):
    """Return the argument of an instruction, of the last one if there are several."""
    return [rest for name, rest in INSTRUCTIONS if name == word][-1]


def command(name):
    (found,) = [words for words in COMMANDS if words[0] == name]
    return found


def files_of(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_instructions_are_known_and_in_a_working_order():
    words = [word for word, _ in INSTRUCTIONS]
    assert words[0] == "FROM" and words[-1] == "CMD"
    assert set(words) <= {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "VOLUME", "USER", "CMD"}
    # Files written below a volume after VOLUME are lost, and VOLUME takes the owner of the folder.
    last_change = max(number for number, word in enumerate(words) if word in ("RUN", "COPY"))
    assert last_change < words.index("USER") and last_change < words.index("VOLUME")


def test_python_version_is_one_that_the_package_supports():
    minor = int(re.fullmatch(r"python:3\.(\d+)-slim", argument("FROM"))[1])
    lowest, above = map(int, re.search(r'python_requires=">=3\.(\d+),<3\.(\d+)"', SETUP).groups())
    assert lowest <= minor < above


def test_dockerignore_lets_only_copied_files_through():
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert patterns == ["*", *(f"!{name}" for name in sorted(COPIED)), "**/__pycache__"]


def test_copied_files_build_the_package(tmp_path):
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, tmp_path / name)
    build = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(tmp_path / "built")]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    configs = {Path("configs") / name for name in files_of(ROOT / "configs")}
    assert files_of(tmp_path / "built" / "leo_tf") == files_of(ROOT / "leo_tf") | configs
    for name in re.findall(r'"([^"]+)"', re.search(r"license_files=\[(.*)\]", SETUP)[1]):
        assert (tmp_path / name).is_file()


def test_pip_installs_known_extras_with_constraints():
    pip = command("pip")
    assert pip[pip.index("--constraint") + 1] in COPIED
    extras = re.fullmatch(r"\.\[([\w,-]+)\]", pip[-1])[1].split(",")
    assert set(extras) <= set(re.findall(r'^        "([\w-]+)": \[', SETUP, flags=re.MULTILINE))


def test_commands_are_console_scripts_and_receive_signals():
    scripts = set(re.findall(r'"([\w-]+) = leo_tf\.', SETUP))
    assert json.loads(argument("CMD"))[0] in scripts  # a JSON list: no shell between it and `docker stop`
    shown = re.findall(r"^#   docker run .*? leo_tf (\S+) (\w+) --(\w+)=(\S+)$", TEXT, flags=re.MULTILINE)
    assert [(script in scripts, name) for script, name, _, _ in shown] == [(True, "train"), (True, "evaluate")]
    (flagfile,) = [value for _, _, flag, value in shown if flag == "flagfile"]
    assert (ROOT / flagfile).is_file()
    assert command("cp") == ["cp", "-r", "configs", f"{argument('WORKDIR')}/configs"]


def test_user_is_not_root_and_everybody_can_write_to_the_volumes():
    user = argument("USER")
    assert user == command("useradd")[-1] != "root"
    install = command("install")
    assert install[install.index("--owner") + 1] == user and install[install.index("--mode") + 1] == "1777"
    volumes = json.loads(argument("VOLUME"))
    assert set(volumes) <= set(install)
    environment = dict(pair.split("=") for pair in argument("ENV").split())
    assert environment["XDG_CACHE_HOME"] in volumes  # where leo_tf.data.cache writes
    # Flags and flagfiles name runs relative to the folder in which commands start.
    assert f"{argument('WORKDIR')}/runs" in volumes
    for file in (ROOT / "configs").glob("*.cfg"):
        assert not re.search(r"^--checkpoint_path=(?!runs/)", file.read_text(), flags=re.MULTILINE)
