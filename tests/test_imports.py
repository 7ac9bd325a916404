"""Imports point one way (the package's layout says so), and config needs no TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import leo_tf

ROOT = Path(leo_tf.__file__).parent
# A module may import modules of a lower rank, or of its own room.
RANKS = [
    {"errors"},
    {"config", "atomic", "randomness"},
    {"flags", "data"},
    {"layers", "noise"},
    {"adaptation", "objective", "gradients", "classifier"},
    {"evaluation"},
    {"meta_learner", "problem"},
    {"classification"},
    {"model"},
    {"baselines", "regression"},
    {"algorithms"},
    {"run_folder"},
    {"training"},
]
EVERYTHING_ELSE = len(RANKS)


def rank_of(room):
    return next((rank for rank, rooms in enumerate(RANKS) if room in rooms), EVERYTHING_ELSE)


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "leo_tf":
            names = [node.module] if "." in node.module else [f"leo_tf.{alias.name}" for alias in node.names]
            for name in names:
                yield name, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("leo_tf."):
                    yield alias.name, []


def test_imports_point_one_way():
    wrong = []
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        room = parts[0]
        if room == "__init__":
            continue
        for module, names in imports_of(path):
            other = module.split(".")[1]
            if other != room and rank_of(other) >= rank_of(room) and rank_of(room) < EVERYTHING_ELSE:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
            if other != room and any(name.startswith("_") for name in names):
                wrong.append(f"{path.relative_to(ROOT)} imports a private name of {module}")
    assert not wrong


def test_config_and_flags_import_no_tensorflow():
    code = "import sys, leo_tf.commands.flags, leo_tf.commands.main; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_exist():
    for name in leo_tf.__all__:
        assert getattr(leo_tf, name) is not None
