"""CITATION.cff: can be read, and says what the package says of itself."""

import re
from pathlib import Path

import leo_tf

ROOT = Path(__file__).parents[1]


def read(lines):
    """Read the part of YAML that the file keeps to: nested maps and lists of plain values, indented by two."""
    if lines[0].startswith("- "):
        starts = [number for number, line in enumerate(lines) if line.startswith("- ")]
        blocks = [lines[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]
        return [read([line[2:] for line in block]) for block in blocks]
    if len(lines) == 1 and not re.match(r"[\w-]+:( |$)", lines[0]):
        return lines[0].strip('"')
    found = {}
    while lines:
        key, value = re.fullmatch(r"([\w-]+):(?: (.+))?", lines.pop(0)).groups()
        inner = []
        while lines and lines[0].startswith("  "):
            inner.append(lines.pop(0)[2:])
        assert key not in found and (value is None) == bool(inner)
        if value and not value.startswith('"'):
            assert ": " not in value and value[0] not in "'[{&*#?|>%@`"  # would need quotes
        found[key] = value.strip('"') if value else read(inner)
    return found


def citation():
    return read((ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines())


def test_it_is_this_software():
    found = citation()
    assert found["cff-version"] == "1.2.0"
    assert {"message", "title"} <= found.keys()  # with authors, what the format requires
    assert found["authors"] == [{"name": "leo_tf contributors"}]
    assert found["version"] == leo_tf.__version__
    assert f'version="{found["version"]}"' in (ROOT / "setup.py").read_text(encoding="utf-8")
    assert found["license"] == "Apache-2.0"


def test_it_prefers_the_paper():
    paper = citation()["preferred-citation"]
    families = [author["family-names"] for author in paper["authors"]]
    assert families == ["Rusu", "Rao", "Sygnowski", "Vinyals", "Pascanu", "Osindero", "Hadsell"]
    assert paper["title"] == "Meta-Learning with Latent Embedding Optimization"
    assert (paper["type"], paper["year"]) == ("conference-paper", "2019")
    assert paper["identifiers"] == [{"type": "other", "value": "arXiv:1807.05960"}]
    assert paper["url"] in (ROOT / "README.md").read_text(encoding="utf-8")
