"""CITATION.cff: it is valid and agrees with the package."""

from pathlib import Path

import yaml

import leo_tf

ROOT = Path(__file__).parents[1]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_software():
    assert CITATION["cff-version"] == "1.2.0"
    assert {"message", "title"} <= CITATION.keys()  # with authors, what the format requires
    assert CITATION["authors"] == [{"name": "leo_tf contributors"}]
    assert CITATION["version"] == leo_tf.__version__
    assert f'version="{leo_tf.__version__}"' in (ROOT / "setup.py").read_text(encoding="utf-8")
    assert CITATION["license"] == "Apache-2.0"


def test_preferred_citation_is_the_paper():
    paper = CITATION["preferred-citation"]
    families = [author["family-names"] for author in paper["authors"]]
    assert families == ["Rusu", "Rao", "Sygnowski", "Vinyals", "Pascanu", "Osindero", "Hadsell"]
    assert paper["title"] == "Meta-Learning with Latent Embedding Optimization"
    assert (paper["type"], paper["year"]) == ("conference-paper", 2019)
    assert paper["identifiers"] == [{"type": "other", "value": "arXiv:1807.05960"}]
    assert paper["url"] in (ROOT / "README.md").read_text(encoding="utf-8")
