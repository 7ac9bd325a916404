"""Dockerfile: each of its instructions, as far as that can be checked without Docker."""

import fnmatch
import importlib.metadata
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import leo_tf

ROOT = Path(leo_tf.__file__).parents[1]


def instructions():
    """Return [(word, arguments)] of the Dockerfile."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [tuple(line.split(None, 1)) for line in joined if line.strip()]


def arguments(word):
    return [rest for name, rest in instructions() if name == word]


def is_ignored(path):
    """Say whether .dockerignore leaves a file out: the last pattern that fits it or a parent decides."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        # `*` does not cross a slash, `**/` stands for any number of folders.
        anywhere, pattern = pattern.startswith("**/"), pattern.removeprefix("**/").split("/")
        for parent in (path, *path.parents):
            parts = parent.parts[-len(pattern) :] if anywhere else parent.parts
            if len(parts) == len(pattern) and all(map(fnmatch.fnmatchcase, parts, pattern)):
                ignored = not line.startswith("!")
    return ignored


def commands():
    """Return the RUN instructions' commands, as lists of words."""
    return [shlex.split(command) for rest in arguments("RUN") for command in rest.split("&&")]


def copied(folder):
    """Copy what the Dockerfile COPYs, less what is ignored, to a folder as the image's root; check that it is there."""
    place = Path("/")
    for word, rest in instructions():
        if word == "WORKDIR":
            place /= rest
        elif word == "COPY":
            *sources, target = rest.split()
            target = folder / (place / target).relative_to("/")
            assert len(sources) == 1 or rest.endswith("/")
            for source in sources:
                files = [ROOT / source] if (ROOT / source).is_file() else list((ROOT / source).rglob("*"))
                files = [path for path in files if path.is_file() and not is_ignored(path.relative_to(ROOT))]
                assert files, f"{source} is missing or ignored"
                for file in files:
                    new = target / (file.relative_to(ROOT / source) if file != ROOT / source else file.name)
                    new.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, new)
    return folder


def test_only_known_instructions_in_an_order_that_works():
    words = [word for word, _ in instructions()]
    assert words[0] == "FROM" and words[-1] == "CMD"
    assert set(words) <= {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "VOLUME", "USER", "CMD"}
    assert max(n for n, word in enumerate(words) if word in ("RUN", "COPY")) < words.index("USER")
    # What is written below a volume after VOLUME is lost, and VOLUME takes the folder's owner over.
    assert max(n for n, word in enumerate(words) if word in ("RUN", "COPY")) < words.index("VOLUME")


def test_the_python_is_one_that_the_package_takes():
    (image,) = arguments("FROM")
    version = re.fullmatch(r"python:(3\.\d+)-slim", image)[1]
    lowest, above = re.search(r'python_requires=">=3\.(\d+),<3\.(\d+)"', (ROOT / "setup.py").read_text()).groups()
    assert int(lowest) <= int(version.split(".")[1]) < int(above)


def test_what_is_copied_builds_the_package(tmp_path):
    root = copied(tmp_path)
    assert not list(root.rglob("__pycache__"))
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(tmp_path / "built")]
    subprocess.run(command, cwd=root / "src", check=True, capture_output=True)
    built, here = (
        {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}
        for folder in (tmp_path / "built" / "leo_tf", ROOT / "leo_tf")
    )
    assert built == here
    for name in re.findall(r'"([^"]+)"', re.search(r"license_files=\[(.*)\]", (ROOT / "setup.py").read_text())[1]):
        assert (root / "src" / name).is_file()


def test_pip_installs_what_is_there(tmp_path):
    (pip,) = [words for words in commands() if words[0] == "pip"]
    assert (copied(tmp_path) / "src" / pip[pip.index("--constraint") + 1]).is_file()
    extras = re.fullmatch(r"\.\[([\w,-]+)\]", pip[-1])[1].split(",")
    # Named in setup.py, not in the metadata of what is installed, which may be older.
    known = re.findall(r'^        "([\w-]+)": \[', (ROOT / "setup.py").read_text(), flags=re.MULTILINE)
    assert set(extras) <= set(known)


def test_the_command_is_a_console_script_that_gets_signals():
    (command,) = arguments("CMD")
    scripts = {entry.name for entry in importlib.metadata.distribution("leo_tf").entry_points}
    assert json.loads(command)[0] in scripts  # a JSON list: no shell between it and `docker stop`
    text = (ROOT / "Dockerfile").read_text()
    shown = re.findall(r"^#   docker run .*? leo_tf (\S+) --(\w+)=(\S+)$", text, flags=re.MULTILINE)
    assert {name for name, _, _ in shown} == {"leo-train", "leo-evaluate"} <= scripts
    assert [(flag, (ROOT / value).is_file()) for _, flag, value in shown if flag == "flagfile"] == [("flagfile", True)]


def test_no_root_and_volumes_that_anyone_can_write():
    (user,) = arguments("USER")
    (useradd,) = [words for words in commands() if words[0] == "useradd"]
    assert user == useradd[-1] != "root"
    (install,) = [words for words in commands() if words[0] == "install"]
    made = [word for word in install if word.startswith("/")]
    assert install[install.index("--owner") + 1] == user and install[install.index("--mode") + 1] == "1777"
    volumes = json.loads(arguments("VOLUME")[0])
    assert set(volumes) <= set(made)
    environment = dict(pair.split("=") for rest in arguments("ENV") for pair in rest.split())
    assert environment["XDG_CACHE_HOME"] in volumes  # where leo_tf.data.cache writes
    # Runs are in the volume: flags and flagfiles name them from the folder that commands start in.
    assert str(Path(arguments("WORKDIR")[-1]) / "runs") in volumes
    for file in (ROOT / "configs").glob("*.cfg"):
        assert not re.search(r"^--checkpoint_path=(?!runs/)", file.read_text(), flags=re.MULTILINE)


def test_what_is_ignored():
    ignored = [".git/config", "runs/leo/metrics.csv", "build/x", "tests/oracle.py", "leo_tf/a/__pycache__/b.pyc"]
    assert all(is_ignored(Path(path)) for path in ignored)
    assert not any(is_ignored(Path(path)) for path in ["setup.py", "leo_tf/__init__.py", "configs/ablations/maml.cfg"])
