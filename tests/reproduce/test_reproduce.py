"""The reproduction: its plan, its runs and failures, its report."""

import json
from pathlib import Path

import numpy as np
import pytest
from absl import flags

from leo_tf import InputError, execution
from leo_tf.classification.results import EvaluationResult
from leo_tf.commands.flags import shipped_configs
from leo_tf.evaluation import seed_summary
from leo_tf.reproduce import __main__, plan, published, report

CONFIGS = Path(__file__).parents[2] / "configs"


def planned(folder, rows=("metasgd", "leo"), settings=("glyphs_1shot",), seeds=(0,), **flags_of):
    return plan.make_cells(rows, settings, seeds, folder, shipped_configs(), **flags_of)


def test_a_cell_is_a_job_of_training_and_evaluation():
    trained, fitted = planned(Path("out"), rows=("leo", "logistic_regression"))
    assert [script for script, _ in trained.commands] == ["train.py", "evaluate.py"]
    assert trained.run == trained.folder / "run"
    assert [script for script, _ in fitted.commands] == ["-m leo_tf.reproduce.baseline_cell"]
    assert fitted.commands[0][1][0] == "--baseline=logistic_regression"


def test_trained_rows_are_the_shipped_ablations():
    assert shipped_configs() == CONFIGS
    trained = plan.ROWS.keys() - plan.BASELINES
    assert trained == {path.stem for path in (CONFIGS / "ablations").iterdir()} | {"leo"}
    cells = planned(Path("out"), rows=("metasgd", "leo"))
    flagfiles = [[flag for flag in cell.commands[0][1] if flag.startswith("--flagfile=")] for cell in cells]
    base, ablation = f"--flagfile={CONFIGS / 'quickstart.cfg'}", f"--flagfile={CONFIGS / 'ablations' / 'metasgd.cfg'}"
    assert flagfiles == [[base, ablation], [base]]


def test_settings_have_flagfiles_and_published_rows_exist():
    for name, setting in plan.SETTINGS.items():
        text = (CONFIGS / setting.config).read_text()
        assert ("--train_on_val=true" in text) == setting.train_on_val == name.endswith("_trainval")
    assert set(published.PAPER) <= set(plan.ROWS)
    assert published.PAPER["leo"]["tiered_5shot"] == (81.44, 0.09)
    assert published.MULTIVIEW == {"leo": {"mini_1shot": (63.97, 0.20), "mini_5shot": (79.49, 0.70)}}


def test_cells_are_ordered_by_seed_and_unknown_names_are_refused(tmp_path):
    names = [cell.name for cell in planned(tmp_path, seeds=(3, 1))]
    assert names == [f"{row}/glyphs_1shot/{seed}" for seed in (3, 1) for row in ("metasgd", "leo")]
    for wrong in ({"rows": ["leoo"]}, {"settings": ["nano"]}, {"seeds": []}, {"rows": []}):
        with pytest.raises(InputError, match="expected"):
            planned(tmp_path, **wrong)
    with pytest.raises(InputError, match="No flagfile"):
        plan.make_cells(["leo"], ["mini_1shot"], [0], tmp_path, tmp_path)


def values(output, seeds="0"):
    """Return the parsed flags of a run of one cell per seed."""
    values = flags.FlagValues()
    __main__.define_flags(values)
    arguments = ["--rows=leo", "--settings=glyphs_1shot", f"--seeds={seeds}", "--num_tasks=2", "--jobs=1"]
    values(["reproduce", *arguments, f"--output={output}"])
    return values


@pytest.mark.parametrize("taken", ["", "report.md", "report.html", "accuracy.png"])
def test_no_cell_runs_if_the_report_cannot_be_written(tmp_path, monkeypatch, taken):
    """A file where the folder should be, or a folder where a file should be."""
    output = tmp_path / "output"
    if taken:
        (output / taken).mkdir(parents=True)
    else:
        output.touch()
    monkeypatch.setattr(execution, "run_jobs", lambda *_, **__: pytest.fail("ran cells"))
    with pytest.raises(InputError, match=f"Cannot write {output / taken}.*; give "):
        __main__.run(values(output))


def test_command_runs_cells_and_prints_where_the_report_is(tmp_path, monkeypatch, capsys):
    def run_jobs(jobs, executor, unit, **_):
        cells = planned(tmp_path, rows=["leo"], seeds=(0, 1))
        finish(cells[0], [0.5, 0.6, 0.7])
        assert [job.name for job in jobs] == [cell.name for cell in cells]
        return {jobs[0].name: {"ok": True, "seconds": 1.0}, jobs[1].name: failed}

    failed = {"ok": False, "seconds": 1.0, "command": "x", "reason": "y"}
    monkeypatch.setattr(execution, "run_jobs", run_jobs)
    assert __main__.run(values(tmp_path, seeds="0,1")) == 1
    assert capsys.readouterr().out.startswith(f"1 of 2 cells finished; see {tmp_path / 'report.md'} and ")


def finish(cell, accuracy, tasks="t" * 64, dataset="glyphs", algorithm="LEO"):
    """Write what a finished cell leaves."""
    accuracy = np.asarray(accuracy, np.float32)
    result = EvaluationResult(
        task_accuracy=accuracy,
        task_loss=1 - accuracy,
        baseline_names=np.array(["nearest class mean", "nearest class mean, whitened"]),
        task_baselines=np.array([[0.25], [0.45]], np.float32) + np.arange(len(accuracy), dtype=np.float32) / 100,
        **dict(ways=5, shots=1, queries=10, seed=0, stream=3, data_digest="d" * 64, tasks_digest=tasks),
        **dict(model_fingerprint=cell.name, algorithm=algorithm, seconds=1.0),
    )
    cell.folder.mkdir(parents=True)
    result.save(cell.result.with_suffix(".npz"))
    cell.result.write_text(json.dumps({"dataset_name": dataset, "step": 100}))
    return result


def test_report_has_every_number_and_the_failed_cell(tmp_path):
    cells = planned(tmp_path, rows=("metasgd", "deterministic", "leo"), seeds=(0, 1))
    statuses = {cell.name: {"ok": True, "seconds": 61.0} for cell in cells}
    broken = cells.pop(1)  # deterministic, seed 0
    results = [finish(cell, np.array([0.5, 0.6, 0.7]) + index / 20) for index, cell in enumerate(cells)]
    statuses[broken.name] = {"ok": False, "seconds": 1.0, "command": "train.py --x", "reason": "Error: no data <here>"}
    path = report.write_report(tmp_path, [broken, *cells], statuses, "python -m leo_tf.reproduce --quick")
    text, page = path.read_text(), path.with_suffix(".html").read_text()

    assert "5 of 6 cells finished" in text
    leo = seed_summary([results[1], results[4]])
    assert f"{100 * leo.mean:.2f} +- {100 * leo.standard_deviation:.2f} % (sd, 2 seeds)" in text
    assert results[3].accuracy.percent() in text  # deterministic: one seed left, so its interval over tasks
    assert "| Meta-SGD | -7.50 +- 0.00 |" in text  # -5 and -10 points on every task
    assert results[0].nearest_class_mean.percent() in text
    assert "Error: no data <here>" in text
    assert "61.89 +- 0.16" in text and "54.24 +- 0.03" in text
    assert "<table>" in page and "data:image/png;base64," in page and 'src="accuracy.png"' not in page
    assert "no data &lt;here&gt;" in page


def test_cells_below_a_baseline_are_listed_with_the_best_one(tmp_path):
    """Counts the cell's own baselines and the baseline rows of its setting; baseline rows themselves are not listed."""
    cells = planned(tmp_path, rows=("ridge", "deterministic", "leo"), settings=("glyphs_1shot", "glyphs_5shot"))
    for cell in cells:
        tasks = cell.setting.ljust(64)
        accuracy = {"ridge": 0.62, "leo": 0.5}.get(cell.row, 0.3)
        accuracy = 0.42 if cell.name == "ridge/glyphs_5shot/0" else accuracy
        finish(cell, accuracy + np.arange(3) / 50, tasks, algorithm="ridge" if cell.row == "ridge" else "LEO")
    statuses = {cell.name: {"ok": True, "seconds": 61.0} for cell in cells}
    text = report.write_report(tmp_path, cells, statuses, "x").read_text()
    below = [line for line in text.splitlines() if "above it" in line]
    assert len(below) == 3  # none is above LEO at 5 shots
    lines = (
        "leo/glyphs_1shot/0: 52.00 +- 4.97 %; 1 of 3 baselines are above it, the best is ridge, 64.00 +- 4.97 %",
        "deterministic/glyphs_5shot/0: 32.00 +- 4.97 %; 2 of 3 baselines are above it, the best is nearest class "
        "mean, whitened, 46.00 +- 2.48 %",
    )
    assert [line.removeprefix("- ") for line in below[1:]] == list(lines)
    assert "| Nearest class mean, whitened | 46.00 +- 2.48 % | 46.00 +- 2.48 % |" in text
    assert text.count("| Ridge | 64.00") == 1


def test_foreign_text_is_escaped_in_the_page(tmp_path):
    cells = planned(tmp_path, rows=("metasgd", "leo"))
    finish(cells[1], [0.5, 0.6, 0.7], dataset="<img src=x> | 1")
    reason = "no\n```\n<script>alert(1)</script>"
    failed = {"ok": False, "seconds": 1.0, "command": "train.py --x=`<b>`", "reason": reason}
    statuses = {cells[0].name: failed, cells[1].name: {"ok": True, "seconds": 1.0}}
    page = report.write_report(tmp_path, cells, statuses, "x '</code><i>'").with_suffix(".html").read_text()
    assert "<td>&lt;img src=x&gt; &#124; 1</td>" in page
    assert (
        "<pre><code>no\n```\n&lt;script&gt;alert(1)&lt;/script&gt;\npython train.py --x=`&lt;b&gt;`\n</code></pre>"
        in page
    )
    assert "&lt;/code&gt;&lt;i&gt;" in page
    assert not [tag for tag in ("<img src=x", "<script", "<b>", "<i>") if tag in page]


def test_corrupt_evaluation_is_an_input_error(tmp_path):
    cells = planned(tmp_path, rows=("leo",))
    finish(cells[0], [0.5, 0.6, 0.7])
    cells[0].result.write_text("{")
    with pytest.raises(InputError, match=r"evaluation\.json is "):
        report.write_report(tmp_path, cells, {cells[0].name: {"ok": True, "seconds": 1.0}}, "x")


def test_published_accuracies_are_compared_only_with_trainval_runs_on_published_data(tmp_path):
    for setting, dataset, beside in [
        ("mini_1shot_trainval", "miniImageNet", True),
        ("mini_1shot_trainval", "birds", False),
        ("mini_1shot", "miniImageNet", False),
    ]:
        folder = tmp_path / f"{setting}-{dataset}"
        cells = planned(folder, rows=("leo",), settings=(setting,))
        measured = finish(cells[0], [0.5, 0.6, 0.7], dataset=dataset).accuracy.percent()
        text = report.write_report(folder, cells, {cells[0].name: {"ok": True, "seconds": 1.0}}, "x").read_text()
        assert (f"| LEO | {setting} | {measured} | 61.76 +- 0.08 % | paper |" in text) == beside
        assert ("61.89 +- 0.16 % | official README |" in text) == beside
        assert "Difference from LEO" not in text  # the only model


def test_cells_on_different_tasks_are_not_compared(tmp_path):
    cells = planned(tmp_path)
    finish(cells[0], [0.5, 0.6, 0.7])
    finish(cells[1], [0.5, 0.6, 0.7], tasks="u" * 64)
    with pytest.raises(InputError, match="different tasks"):
        report.write_report(tmp_path, cells, {cell.name: {"ok": True, "seconds": 1.0} for cell in cells}, "x")
