"""examples/minimal.py: trains, and is short."""

import importlib.util
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "minimal.py"


def test_minimal_trains_and_evaluates(capsys):
    spec = importlib.util.spec_from_file_location("minimal", EXAMPLE)
    minimal = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(minimal)
    result = minimal.main(steps=100)
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in shown[:2]] == ["step 50", "step 100"]
    first, last = (float(line.split("accuracy ")[1].removesuffix(" %")) for line in shown[:2])
    assert last > first
    assert result.accuracy.mean > 0.3  # chance is 0.2
    assert len(EXAMPLE.read_text().splitlines()) < 65
