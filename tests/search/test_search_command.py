"""The command python -m leo_tf.search: killed and resumed, refused, complete."""

import csv
import json
import signal
import subprocess
import sys
import time

import pytest

SPACE = "[outer_lr]\nlow = 1e-4\nhigh = 1e-3\nscale = 'log'\n"
SMALL = [
    *("--dataset_name=glyphs", "--jit=off", "--inner_unroll_length=1", "--finetuning_unroll_length=1"),
    *("--num_latents=4", "--metatrain_batch_size=2", "--num_steps_limit=40", "--checkpoint_steps=10"),
    *("--log_steps=10", "--metavalid_tasks=4", "--metavalid_queries=5", "--trials=2", "--rerun_top=0"),
]


def command(folder, *more):
    (folder / "space.toml").write_text(SPACE)
    call = [sys.executable, "-m", "leo_tf.search", *SMALL, "--space=space.toml", "--study=study", *more]
    return subprocess.Popen(call, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows(folder):
    """Return the metrics of the trials, except times."""
    found = {}
    for path in sorted((folder / "study" / "trials").glob("*/metrics.csv")):
        with open(path, newline="") as file:
            found[path.parent.name] = [
                {name: value for name, value in row.items() if name != "steps_per_second"}
                for row in csv.DictReader(file)
            ]
    return found


@pytest.mark.long
def test_killed_search_resumes_to_the_numbers_of_an_undisturbed_one(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    first = command(killed, "--jobs=2")
    undisturbed = command(whole, "--jobs=1")
    metrics = killed / "study" / "trials" / "trial-000" / "metrics.csv"
    end = time.monotonic() + 120
    while not metrics.exists() or "\n10," not in metrics.read_text():
        assert first.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    resumed = command(killed, "--jobs=2")
    for process in (resumed, undisturbed):
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert "Next: python train.py --flagfile=study/best.cfg" in out
    assert list(rows(whole)) == ["trial-000", "trial-001"]
    assert rows(killed) == rows(whole)
    values = [json.loads((f / "study" / "report.json").read_text())["trials"] for f in (whole, killed)]
    assert values[0] == values[1] and all(trial["state"] == "COMPLETE" for trial in values[0])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--trials=0"], "flag --trials=0: 0 is not a positive integer"),
        (["--final_seeds=1,1"], "Got final_seeds=1,1; expected different whole numbers"),
        (["--objective=crps"], "Got objective=crps; expected accuracy"),
        (["--metavalid_tasks=0"], "metavalid_tasks=0 was given; a search compares trials"),
        (["--space=none.toml"], "Cannot read the space none.toml"),
        (["--storage=sqlite:////nowhere/x.db"], "Cannot open the study's database sqlite:////nowhere/x.db"),
        pytest.param(
            ["--dataset_name=nothing", "--download=false", "--jobs=1"],
            "trial-000 failed before its first step",
            marks=pytest.mark.long,
        ),
    ],
)
def test_input_error_is_one_message_and_status_2(tmp_path, more, message):
    process = command(tmp_path, *more)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    last = [line for line in err.splitlines() if not line.startswith("Flags: ")][-1]
    assert last.startswith(f"Error: {message}")
    assert "Traceback" not in err
