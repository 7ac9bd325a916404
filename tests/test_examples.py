"""Examples: they run, and the shortest is short."""

import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

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


def test_table2_search_gives_each_row_its_flags_and_prints_a_table(tmp_path, monkeypatch, capsys):
    rows = module_of(EXAMPLES / "table2_search.py")
    called = []

    def run(command, check):
        called.append(command[3:])
        folder = Path(next(flag for flag in command if flag.startswith("--study=")).removeprefix("--study="))
        folder.mkdir(parents=True)
        best = {"search_score": 0.7, "score": 0.65}
        found = {"candidates": [best], "final": {"base": [0.5, 0.6], "best": [0.6, 0.6]}}
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


OMNIGLOT = EXAMPLES / "omniglot"


def alphabets(root, **sizes):
    for name, characters in sizes.items():
        for number in range(characters):
            folder = root / name / f"character{number + 1:02}"
            folder.mkdir(parents=True)
            (folder / "0001_01.png").write_bytes(b"")
    return root


def test_omniglot_arrange_holds_one_alphabet_out_and_tests_on_unseen_ones(tmp_path):
    arrange = module_of(OMNIGLOT / "arrange.py").arrange
    background = alphabets(tmp_path / "background", Greek=24, Latin=26, Tagalog=17, Korean=40)
    test = alphabets(tmp_path / "test", Greek=24, Sanskrit=42)
    expected = {"train": ["Korean", "Latin", "Tagalog"], "val": ["Greek"], "test": ["Sanskrit"]}
    for _ in range(2):  # again, it finds its own links
        assert arrange(background, tmp_path / "images", test) == expected
    assert sorted(path.name for path in (tmp_path / "images" / "train").iterdir()) == expected["train"]
    assert len(list((tmp_path / "images" / "test").glob("*/*/*.png"))) == 42
    small = alphabets(tmp_path / "small", Braille=5, Morse=8)
    assert arrange(small, tmp_path / "other") == {"train": ["Braille"], "val": ["Morse"]}


def test_omniglot_arrange_refuses_too_few_alphabets(tmp_path):
    arrange = module_of(OMNIGLOT / "arrange.py").arrange
    one = alphabets(tmp_path / "one", Greek=3)
    with pytest.raises(SystemExit, match="has 1 alphabet; expected folders alphabet/character"):
        arrange(one, tmp_path / "images")
    two = alphabets(tmp_path / "two", Greek=3, Latin=3)
    with pytest.raises(SystemExit, match="expected others to test on"):
        arrange(two, tmp_path / "images", one)


def test_omniglot_script_prints_its_usage_and_overwrites_nothing(tmp_path):
    def run(*arguments):
        command = ["sh", str(OMNIGLOT / "run.sh"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = run()
    assert done.returncode == 2 and "run.sh BACKGROUND OUTPUT [TEST]" in done.stderr
    (tmp_path / "model").mkdir()
    done = run(tmp_path, tmp_path)
    assert done.returncode == 2 and "already exists" in done.stderr
