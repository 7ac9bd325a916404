"""Documentation: every page is in the site, links lead somewhere, and the command reference has every flag."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest
import yaml
from absl import flags

from leo_tf.commands import evaluate, train

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
