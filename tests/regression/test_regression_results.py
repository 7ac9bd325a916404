"""What an evaluation found: numbers by hand, comparison's sign, files there and back."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from leo_tf import InputError
from leo_tf.evaluation import compare, seed_summary
from leo_tf.regression.results import RegressionResult


@pytest.fixture
def result():
    return RegressionResult(
        shots=np.array([1, 5]),
        task_squared_error=np.array([[4.0, 2.0, 3.0, 1.0], [0.4, 0.2, 0.3, 0.1]]),
        task_single_error=np.array([[8.0, 4.0, 6.0, 2.0], [0.8, 0.4, 0.6, 0.2]]),
        task_crps=np.array([[1.0, 1.0, 1.0, 2.0], [0.1, 0.1, 0.1, 0.2]]),
        task_coverage=np.stack([np.full((4, 4), 0.5), np.tile([[0.4], [0.7], [0.8], [1.0]], (1, 4))]),
        is_sinusoid=np.array([True, False, True, False]),
        num_samples=20,
        tasks_digest="a" * 64,
        model_fingerprint="b" * 64,
        algorithm="LEO",
        seconds=1.5,
    )


def single(result):
    return dataclasses.replace(
        result, task_coverage=np.full((2, 4, 4), np.nan), num_samples=1, algorithm="MAML", model_fingerprint=""
    )


def half_width(values):
    return stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))


def test_numbers_by_hand(result):
    assert result.num_tasks == 4
    assert result.mse(1) == pytest.approx((2.5, half_width([4, 2, 3, 1])))
    assert result.mse(5, "sinusoid") == pytest.approx((0.35, half_width([0.4, 0.3])))
    assert result.mse(5, "line") == pytest.approx((0.15, half_width([0.2, 0.1])))
    assert result.crps(1) == pytest.approx((1.25, half_width([1, 1, 1, 2])))
    assert {level: i.mean for level, i in result.coverage(5).items()} == pytest.approx(
        {0.5: 0.4, 0.8: 0.7, 0.9: 0.8, 0.95: 1.0}
    )
    with pytest.raises(InputError, match=r"3 shots were not evaluated; expected one of \[1, 5\]"):
        result.mse(3)


def test_a_single_function_has_no_coverage(result):
    assert single(result).coverage(1) == {}
    assert single(result).summary()["shots"]["5"]["coverage"] == {}
    assert str(single(result)).splitlines()[-1].endswith("0.1250  -")


def test_summary(result):
    summary = result.summary()
    about = {
        "algorithm": "LEO",
        "num_tasks": 4,
        "num_samples": 20,
        "tasks_digest": "a" * 64,
        "model_fingerprint": "b" * 64,
        "seconds": 1.5,
    }
    assert about.items() <= summary.items() and summary.keys() == {*about, "shots"}
    of_one = summary["shots"]["1"]
    assert summary["shots"].keys() == {"1", "5"}
    assert of_one.keys() == {"mse", "single_sample_mse", "crps", "coverage"}
    assert {family: found["mean"] for family, found in of_one["mse"].items()} == {
        "all": 2.5,
        "sinusoid": 3.5,
        "line": 1.5,
    }
    assert of_one["single_sample_mse"]["mean"] == 5.0 and of_one["crps"]["mean"] == 1.25
    assert of_one["coverage"]["0.95"] == {"mean": 0.5, "half_width": 0.0}


def test_text(result):
    head, columns, first, last = str(result).splitlines()
    assert head == "LEO, 4 tasks, 20 samples per task" and columns.split()[:6] == [
        "mse",
        "sinusoids",
        "lines",
        "one",
        "sample",
        "crps",
    ]
    assert first.split()[:2] == ["1", "shot"] and "2.5000 +- 2.05" in first and first.endswith("5.0000  1.2500  50.0 %")
    assert last.endswith("0.1250  80.0 %")


def test_comparison(result):
    """The difference is the first's error less the second's; less error wins."""
    better = dataclasses.replace(result, task_squared_error=result.task_squared_error - [[1, 0.5, 0, -0.25], [0] * 4])
    found, turned = compare(better, result, 1), compare(result, better, 1)
    differences = [-1, -0.5, 0, 0.25]
    assert found.difference == pytest.approx((-0.3125, half_width(differences)))
    assert (found.wins, found.ties, found.losses) == (2, 1, 1)
    assert found.p_value == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert (turned.wins, turned.ties, turned.losses) == (1, 1, 2)
    assert turned.difference.mean == -found.difference.mean
    same = compare(better, result, 5)
    assert (same.ties, same.p_value) == (4, 1.0)
    assert str(same.difference.mean) == "0.0"  # not -0.0


def test_summary_over_seeds(result):
    """Mean and standard deviation of the runs' mean squared errors, at each number of shots."""
    other = dataclasses.replace(result, task_squared_error=2 * result.task_squared_error, model_fingerprint="c" * 64)
    found = seed_summary([result, other], 5)
    assert (found.mean, found.standard_deviation) == pytest.approx((0.375, 0.25 / np.sqrt(2)))
    assert str(found) == "mse 0.3750 +- 0.1768 (standard deviation over 2 training seeds)"


def test_other_tasks_and_shots_are_refused(result):
    other = dataclasses.replace(result, tasks_digest="c" * 64)
    with pytest.raises(InputError, match=r"different tasks: tasks_digest aaaaaaaaaaaa\.\.\. != cccccccccccc\."):
        compare(result, other, 1)
    with pytest.raises(InputError, match=r"5 shots were not evaluated; expected one of \[1\]"):
        less = {f.name: getattr(result, f.name)[:1] for f in dataclasses.fields(result)[:5]}
        compare(result, dataclasses.replace(result, **less), 5)


@pytest.mark.parametrize("make", [lambda result: result, single])
def test_file_round_trip(result, make, tmp_path):
    made, path = make(result), tmp_path / "result.npz"
    made.save(path)
    loaded = RegressionResult.load(path)
    for field in dataclasses.fields(made):
        ours, theirs = getattr(loaded, field.name), getattr(made, field.name)
        np.testing.assert_array_equal(ours, theirs)
        assert type(ours) is type(theirs)
    assert str(loaded) == str(made)


def test_corrupt_files(result, tmp_path):
    path = tmp_path / "result.npz"
    with pytest.raises(
        InputError, match=r"Cannot read .*result\.npz .*; expected the per-task results of a regression"
    ):
        RegressionResult.load(path)
    result.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"result\.npz is corrupt"):
        RegressionResult.load(path)
    np.savez(path, task_accuracy=np.zeros(3))
    with pytest.raises(InputError, match=r"result\.npz is corrupt .*shots"):
        RegressionResult.load(path)
    with pytest.raises(InputError, match="Cannot write"):
        result.save(path / "under_a_file.npz")
