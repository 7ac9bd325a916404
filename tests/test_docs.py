"""The documentation: every page is in the site, every link leads somewhere, every flag is in the reference."""

import importlib.util
import re
from pathlib import Path

import pytest
from absl import flags

from leo_tf.commands import evaluate, train

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def test_every_page_is_in_the_site():
    named = re.findall(r": ([a-z-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(named) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http:", "https:", "**")):  # ** is code
            assert (page.parent / target).exists(), target
    for path in re.findall(r"`((?:leo_tf|configs|examples|docs|tests)/[\w./]+\.(?:py|cfg|md|toml))`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("module", [train, evaluate])
def test_the_command_reference_has_every_flag(module):
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    text = hooks.reference(module)
    values = flags.FlagValues()
    module.define_flags(values)
    for name in values:
        assert len(re.findall(rf"^\| `--(\[no\])?{name}[=`]", text, re.MULTILINE)) == (name not in ("help", "?")) or (
            name.startswith("help")
        ), name


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150
