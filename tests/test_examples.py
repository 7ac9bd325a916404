"""The examples: they run, and the shortest is short."""

import importlib.util
import json
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
EXAMPLE = EXAMPLES / "minimal.py"


def module_of(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_minimal_trains_and_evaluates(capsys):
    minimal = module_of(EXAMPLE)
    result = minimal.main(steps=100)
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in shown[:2]] == ["step 50", "step 100"]
    first, last = (float(line.split("accuracy ")[1].removesuffix(" %")) for line in shown[:2])
    assert last > first
    assert result.accuracy.mean > 0.3  # chance is 0.2
    assert len(EXAMPLE.read_text().splitlines()) < 65


def test_a_search_for_every_row_is_called_with_the_rows_own_flags_and_ends_with_a_table(tmp_path, monkeypatch, capsys):
    rows = module_of(EXAMPLES / "table2_search.py")
    called = []

    def run(command, check):
        called.append(command[3:])
        folder = Path(next(flag for flag in command if flag.startswith("--study=")).removeprefix("--study="))
        folder.mkdir(parents=True)
        found = {"repeated": [{"searched": 0.7, "judged": 0.65}], "final": {"start": [0.5, 0.6], "choice": [0.6, 0.6]}}
        (folder / "report.json").write_text(json.dumps(found))

    monkeypatch.setattr(rows.subprocess, "run", run)
    monkeypatch.setattr(rows.sys, "argv", ["table2_search.py", str(tmp_path), "leo,metasgd", "--trials=5"])
    rows.main()
    configs = EXAMPLES.parent / "configs"
    assert called == [
        ["--trials=5", f"--study={tmp_path / 'leo'}", f"--space={configs / 'search' / 'paper'}.toml"],
        [
            *("--trials=5", f"--flagfile={configs / 'ablations' / 'metasgd'}.cfg"),
            *(f"--study={tmp_path / 'metasgd'}", f"--space={configs / 'search' / 'maml'}.toml"),
        ],
    ]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "| metasgd | 70.00% | 65.00% | 55.00% (sd 7.07%, 2 seeds) | 60.00% (sd 0.00%, 2 seeds) |"
