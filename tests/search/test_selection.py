"""Selection of the best trial: reruns with fresh seeds, best.cfg, the report, one evaluation on test tasks."""

import json
from pathlib import Path

import numpy as np
import optuna
import pytest
from absl import flags
from fake_executor import FakeExecutor

from leo_tf import InputError
from leo_tf.classification.results import EvaluationResult
from leo_tf.commands.flags import define_run_flags, run_config
from leo_tf.search.pruner_simulation import simulate_pruner
from leo_tf.search.report import require_report, write_best, write_report
from leo_tf.search.selection import rerun_top, run_final_evaluation
from leo_tf.search.study import Study
from leo_tf.search.trials import run_trials


def quiet(line):
    pass


def lucky(flags):
    """Return accuracies with which the best trial of the search is the worst of the reruns."""
    rate, is_rerun = float(flags["outer_lr"]), "/reruns/" in flags["checkpoint_path"]
    return [0.5 - rate] if is_rerun else [0.5 + rate]


@pytest.fixture
def searched(tmp_path, plan):
    """Study of six trials, and its executor."""
    executor = FakeExecutor(lucky)
    with Study(tmp_path / "study", plan) as study:
        run_trials(study, executor, 6, quiet)
        yield study, executor


def test_best_trials_are_rerun_and_ranked_by_the_reruns(searched):
    study, executor = searched
    best = [trial.number for trial in study.ranked[:3]]
    candidates = rerun_top(study, executor, 3, quiet)
    assert [each.number for each in candidates] == best[::-1]
    assert [len(each.rerun_scores) for each in candidates] == [2, 2, 2]
    assert candidates[0].score == pytest.approx(0.5 - candidates[0].settings["outer_lr"])
    seeds = [next(f for f in job.commands[0][1] if f.startswith("--seed=")) for job in executor.submitted]
    assert len(set(seeds)) == len(seeds) == 12
    count = len(executor.submitted)
    for job in executor.submitted[6:]:
        job.status_file.write_text(json.dumps({"ok": True, "commands": job.digest}))
    assert rerun_top(study, executor, 3, quiet) == candidates and len(executor.submitted) == count  # nothing again
    without_reruns = rerun_top(study, executor, 0, quiet)
    assert [each.number for each in without_reruns] == best[:1] and len(executor.submitted) == count


def test_failed_reruns_and_a_search_without_completed_trials_are_input_errors(searched, tmp_path, plan):
    study, _ = searched
    with pytest.raises(InputError, match="All reruns of the best trials failed, the first with: disk full"):
        rerun_top(study, FakeExecutor(lambda flags: "disk full"), 1, quiet)
    with Study(tmp_path / "empty", plan) as empty, pytest.raises(InputError, match="None of the 0 trials"):
        rerun_top(empty, FakeExecutor(lucky), 3, quiet)


def test_best_cfg_has_the_best_settings_and_their_origin(searched):
    study, executor = searched
    candidates = rerun_top(study, executor, 2, quiet)
    path = write_best(study, candidates[0], "python -m leo_tf.search --x")
    values = flags.FlagValues()
    define_run_flags(values)
    flags.DEFINE_string("checkpoint_path", "", "", flag_values=values)
    values(["train.py", f"--flagfile={path}"])
    assert run_config(values) == study.plan.base.with_settings(candidates[0].settings)
    assert values.checkpoint_path == "runs/study"
    text = path.read_text()
    assert "# python -m leo_tf.search --x" in text and '{"train_digest": "abc"}' in text
    assert f"trial {candidates[0].number} of 6" in text and "with 2 fresh seeds" in text


class FinalRuns(FakeExecutor):
    """Writes evaluations too; the best configuration is better by 0.1 on every task."""

    def submit(self, job):
        future = super().submit(job)
        accuracy = np.array([0.4, 0.5, 0.7], np.float32) + 0.1 * ("best" in job.name)
        EvaluationResult(
            task_accuracy=accuracy,
            task_loss=1 - accuracy,
            baseline_names=np.array(["nearest class mean"]),
            task_baselines=accuracy[np.newaxis],
            **dict(ways=5, shots=1, queries=10, seed=0, stream=3, data_digest="d" * 64, tasks_digest="t" * 64),
            **dict(model_fingerprint=job.name, algorithm="LEO", seconds=1.0),
        ).save(job.result.with_suffix(".npz"))
        return future


def test_best_and_base_are_compared_on_the_same_test_tasks(searched):
    study, _ = searched
    executor = FinalRuns(lambda flags: [0.5])
    final = run_final_evaluation(study, {"outer_lr": 0.002}, (3, 4), 50, executor, quiet)
    assert final.difference.mean == pytest.approx(0.1) and final.base == pytest.approx([1.6 / 3] * 2)
    first = executor.submitted[0]
    assert [script for script, _ in first.commands] == ["train.py", "evaluate.py"]
    assert "--num_tasks=50" in first.commands[1][1] and "--seed=3" in first.commands[0][1]
    assert "--outer_lr=0.002" in first.commands[0][1] and f"--output={first.result}" in first.commands[1][1]
    with pytest.raises(InputError, match="The final run best-9 failed: no disk"):
        run_final_evaluation(study, {}, (9,), None, FinalRuns(lambda flags: "no disk"), quiet)


def test_report_has_the_numbers_and_the_figures(searched):
    study, executor = searched
    candidates = rerun_top(study, executor, 3, quiet)
    final = run_final_evaluation(study, candidates[0].settings, (3, 4), 50, FinalRuns(lambda flags: [0.5]), quiet)
    require_report(study.folder)
    path = write_report(study, candidates, final, "python -m leo_tf.search <x>", 2)
    text, page = path.read_text(), path.with_suffix(".html").read_text()
    numbers = json.loads(path.with_suffix(".json").read_text())
    assert "6 trials of 300 steps, random search" in text
    for trial in study.trials:
        assert f"| {trial.number} | complete | {100 * trial.value:.2f} % | 100 |" in text
    assert "**+10.00 +- 0.00 points**" in text and "| 3 | 53.33 % | 63.33 % |" in text
    assert page.count("data:image/png;base64,") == 2 and "&lt;x&gt;" in page
    assert numbers["final"]["difference"]["mean"] == pytest.approx(0.1)
    assert [trial["value"] for trial in numbers["trials"]] == [trial.value for trial in study.trials]


def test_importance_is_drawn_with_enough_trials(tmp_path, plan):
    from leo_tf.search.figures import draw_figures

    with Study(tmp_path, plan) as study:
        run_trials(study, FakeExecutor(lucky), 12, quiet)
        assert set(draw_figures(study)) == {"history.png", "settings.png", "importance.png"}


def trial(number, values):
    return optuna.trial.create_trial(
        value=max(values), intermediate_values=dict(enumerate(values, 1)), state=optuna.trial.TrialState.COMPLETE
    )


def test_simulation_of_a_pruner():
    curves = [[0.5, 0.6, 0.7], [0.1, 0.2, 0.3], [0.2, 0.3, 0.9], [0.6, 0.65, 0.8]]
    study = optuna.create_study(direction="maximize")
    study.add_trials([trial(number, curve) for number, curve in enumerate(curves)])
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    found = simulate_pruner(study.trials, pruner, "maximize", 1)
    assert found.trials == 4 and found.best == (2, 3, 0, 1)
    assert found.stopped == (1, 2) and found.lost == (2, 1)
    assert found.saved == pytest.approx(4 / 12)


def test_all_spaces_are_shipped():
    assert {path.name for path in (Path(__file__).parents[2] / "configs" / "search").iterdir()} == {
        "maml.toml",
        "paper.toml",
        "regression.toml",
        "regression_maml.toml",
    }
