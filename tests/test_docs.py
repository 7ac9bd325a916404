"""Documentation: every page is in the site, links lead somewhere, the reference has every flag, examples work."""

import importlib
import importlib.util
import re
import sys
import textwrap
import types
from pathlib import Path

import keras
import pytest
import tensorflow as tf
import yaml
from absl import flags

import leo_tf
from leo_tf.commands import evaluate, train
from leo_tf.config import algorithms

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
LINKED = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


def name_of(page):
    return str(page.relative_to(ROOT))


def script(path):
    """Import a Python file of docs/."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages_in(navigation):
    """Yield the pages of mkdocs' nav: nested lists of {title: page or list}."""
    for entry in navigation:
        for target in entry.values():
            if isinstance(target, str):
                yield target
            else:
                yield from pages_in(target)


def anchors_of(page):
    """Return the anchors of a page's headings, as mkdocs and GitHub make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_navigation():
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(pages_in(navigation)) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES)


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_links_and_paths_exist(page):
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)]*)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if target.startswith(("http:", "https:")):
            continue
        linked = page.parent / target if target else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors_of(linked), f"{target}#{anchor}"
        if DOCS in page.parents and target:
            assert DOCS in linked.resolve().parents, f"{target} is not part of the site"
    for path in re.findall(r"`((?:leo_tf|configs|examples|docs|tests|tools|benchmarks)/[\w./]+)`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_commands_name_existing_flagfiles(page):
    for path in re.findall(r"--(?:flagfile|space)=(configs/[\w/.]+)", page.read_text(encoding="utf-8")):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("module", [train, evaluate])
def test_command_reference_has_every_flag(module):
    text = script(DOCS / "hooks.py").reference(module)
    values = flags.FlagValues()
    module.define_flags(values)
    for name in values:
        if name == "?" or name.startswith("help"):
            continue
        assert len(re.findall(rf"^\| `--(\[no\])?{name}[=`]", text, re.MULTILINE)) == 1, name


def test_api_reference_names_existing_objects():
    for name in re.findall(r"^::: (\S+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_figure_of_the_readme_shows_its_table():
    figure = script(DOCS / "make_accuracy_figure.py")
    columns, rows = figure.table((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(columns) == 4 and set(figure.SHOWN) <= rows.keys()
    assert rows["nearest class mean"][0] == (54.31, 0.18)
    assert {len(row) for row in rows.values()} == {len(columns)}


@pytest.fixture
def anil_of_contributing(monkeypatch):
    """Add CONTRIBUTING's meta-learner to the package, as its reader does."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("### A meta-learner")[1].split("\n### ")[0]
    settings, learner, line = map(textwrap.dedent, re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    for name, code in (("leo_tf.config.anil", settings), ("leo_tf.classification.anil", learner)):
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(code, module.__dict__)
    monkeypatch.setitem(algorithms.ALGORITHMS, "anil", None)  # so that it is removed afterwards
    exec(line, {"ALGORITHMS": algorithms.ALGORITHMS, "Algorithm": algorithms.Algorithm})


@pytest.mark.long
def test_meta_learner_of_contributing_trains(anil_of_contributing):
    data = leo_tf.config.DataConfig(dataset_name="glyphs")
    config = leo_tf.RunConfig(algorithm="anil", data=data)
    assert config.flat()["body_units"] == 64
    work = leo_tf.MetaTraining(config)
    assert [tuple(variable.shape) for variable in work.learner.meta_variables] == [(5, 64), (64, 128)]

    train, test = (leo_tf.EmbeddingTable.load("", "glyphs", split) for split in ("train", "test"))
    sampler = leo_tf.EpisodeSampler(train, ways=5, shots=1, queries=15)
    episodes = tf.data.Dataset.range(60).map(lambda i: sampler.sample(seed=0, first_task=12 * i, num_tasks=12))
    untrained = leo_tf.evaluate(work.learner, test, 5, 1, num_tasks=200).accuracy.mean
    work.learner.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    work.learner.fit(episodes, shuffle=False, verbose=0)
    assert leo_tf.evaluate(work.learner, test, 5, 1, num_tasks=200).accuracy.mean > untrained + 0.02


def test_the_figure_of_the_quickstart_names_what_it_shows():
    summary = script(DOCS / "quickstart_summary.py")
    evaluations = [
        {
            **{"algorithm": name, "accuracy": interval, "ways": 4, "shots": 1, "tasks_digest": "a"},
            "baselines": {"ridge": {"mean": 0.6, "half_width": 0.02}, **more},
        }
        for name, interval, more in (
            ("LEO", {"mean": 0.5, "half_width": 0.01}, {}),
            ("ProtoLEO", {"mean": 0.9, "half_width": 0.01}, {"LDA": {"mean": 0.7, "half_width": 0.03}}),
        )
    ]
    rows = summary.ranking(evaluations)
    assert [row["name"] for row in rows] == ["ProtoLEO", "LDA", "ridge", "LEO"]
    assert rows[1] == {"name": "LDA", "accuracy": 0.7, "half_width": 0.03}
    curves = [[(10, 40.0, 1.0), (20, 50.0, 1.0)], [(0, 80.0, 1.0), (10, 90.0, 1.0)]]
    left, right = summary.draw(curves, evaluations, rows).axes
    found = dict(zip(*reversed(left.get_legend_handles_labels()), strict=True))
    heights = {label: (getattr(shown, "lines", [shown])[0]).get_ydata()[0] for label, shown in found.items()}
    assert heights == {
        "LEO: validation, 4-way 1-shot": 40,
        "ProtoLEO: validation, tasks of many shapes": 80,
        "chance, 4-way": 25,
    }
    bars = dict(zip([text.get_text() for text in right.get_yticklabels()], right.patches, strict=True))
    assert {name: bar.get_width() for name, bar in bars.items()} == {row["name"]: 100 * row["accuracy"] for row in rows}
