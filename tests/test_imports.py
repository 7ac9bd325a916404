"""Imports point one way, packages keep their private names, and quick commands do not import TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import leo_tf

ROOT = Path(leo_tf.__file__).parent
# From the lowest layer to the highest. A module may import from lower layers and from its own package.
LAYERS = [
    {"errors"},
    {"files", "config", "randomness"},
    {"layers", "transforms", "adaptation", "objective", "gradients"},
    {"learners", "data", "evaluation"},
    {"analysis_target"},
    {"problem"},
    {"classification", "regression"},
    {"runs"},
    {"analysis"},
    {"training"},
    {"commands"},
    {"features"},
    {"execution", "export"},
    {"search", "reproduce", "predict"},
]
HEIGHTS = {package: height for height, layer in enumerate(LAYERS) for package in layer}


def imports_of(path):
    """Yield (module of leo_tf, names) for every import, wherever in the file."""
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
        package = path.relative_to(ROOT).with_suffix("").parts[0]
        if package == "__init__" or path.name == "__main__.py":  # a script, above all packages
            continue
        for module, names in imports_of(path):
            other = module.split(".")[1]
            if other == "__version__":
                continue
            if other != package and HEIGHTS[other] >= HEIGHTS[package]:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
            if other != package and any(name.startswith("_") for name in names):
                wrong.append(f"{path.relative_to(ROOT)} imports a private name of {module}")
    assert not wrong


def test_every_package_has_a_layer():
    packages = {path.name.removesuffix(".py") for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert packages - {"__init__", "__main__", "__pycache__"} == HEIGHTS.keys()


@pytest.mark.parametrize(
    "modules", ["leo_tf, leo_tf.config", "leo_tf.commands.main, leo_tf.commands.flags", "leo_tf.evaluation.plots"]
)
def test_quick_modules_do_not_import_tensorflow(modules):
    code = f"import sys, {modules}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.long
def test_commands_load_tensorflow_without_the_optional_packages_of_keras():
    """They can still be imported afterwards."""
    code = (
        "import sys; from absl import flags; from leo_tf.commands.logs import load_tensorflow; flags.FLAGS(['x']);"
        "load_tensorflow(); assert not {'sklearn', 'matplotlib'} & sys.modules.keys();"
        "import leo_tf, matplotlib; assert leo_tf.FewShotClassifier; assert 'sklearn' in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_absl_flags_stay_in_commands_and_tools():
    allowed = {"commands", "__main__.py", "baseline_cell.py"}
    users = [
        path.relative_to(ROOT)
        for path in ROOT.rglob("*.py")
        if any(line.startswith(("from absl import", "import absl")) for line in path.read_text().splitlines())
    ]
    assert users
    assert [path for path in users if path.parts[0] not in allowed and path.name not in allowed] == []


def test_public_names_exist():
    for name in leo_tf.__all__:
        assert getattr(leo_tf, name) is not None


@pytest.mark.parametrize(
    "name",
    [
        "leo_tf.export.export",
        pytest.param("leo_tf.evaluation.compare", marks=pytest.mark.long),
        pytest.param("leo_tf.regression.RegressionLEO", marks=pytest.mark.long),
    ],
)
def test_packages_are_attributes_of_leo_tf(name):
    code = f"import sys, leo_tf; assert 'tensorflow' not in sys.modules; {name}"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
