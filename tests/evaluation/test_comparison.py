"""Paired comparison and the scatter over seeds, against SciPy and hand computation."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from leo_tf import InputError
from leo_tf.classification.results import EvaluationResult
from leo_tf.evaluation import seed_summary
from leo_tf.evaluation.comparison import compare, compare_paired


def result(accuracy, **fields):
    accuracy = np.asarray(accuracy, np.float32)
    defaults = dict(
        ways=5,
        shots=1,
        queries=10,
        seed=0,
        stream=3,
        data_digest="d" * 64,
        tasks_digest="t" * 64,
        model_fingerprint="m",
        algorithm="LEO",
        seconds=1.0,
    )
    baselines = np.array(["nearest class mean"]), accuracy[np.newaxis] / 2
    return EvaluationResult(accuracy, 1 - accuracy, *baselines, **{**defaults, **fields})


def test_compare_equals_scipys_paired_t_test():
    rng = np.random.default_rng(0)
    difficulty = rng.uniform(0.2, 0.8, 60)
    first = np.round(difficulty + 0.03 + 0.05 * rng.normal(size=60), 2)
    second = np.round(difficulty + 0.05 * rng.normal(size=60), 2)
    comparison = compare(result(first), result(second))
    expected = stats.ttest_rel(first, second)
    low, high = expected.confidence_interval(0.95)
    mean, half_width = comparison.difference
    np.testing.assert_allclose([mean - half_width, mean + half_width], [low, high], rtol=1e-5)
    assert comparison.p_value == pytest.approx(expected.pvalue, rel=1e-4)
    counts = tuple(int(np.sum(np.sign(np.round(first - second, 6)) == sign)) for sign in (1, 0, -1))
    assert (comparison.wins, comparison.ties, comparison.losses) == counts and min(counts) > 0
    unpaired = np.hypot(*(np.std(values) for values in (first, second))) / np.sqrt(60)
    assert half_width < unpaired  # the tasks' difficulty cancels


def test_swapping_the_runs_negates_the_difference():
    first, second = result([0.5, 0.7, 0.9, 0.4]), result([0.5, 0.6, 0.7, 0.5])
    there, back = compare(first, second), compare(second, first)
    assert there.difference.mean == pytest.approx(0.05, abs=1e-7) == -back.difference.mean
    assert there.difference.half_width == back.difference.half_width
    assert (there.wins, there.ties, there.losses) == (2, 1, 1) == (back.losses, back.ties, back.wins)
    assert there.p_value == back.p_value
    assert str(there).startswith("+5.00 +- 20.54 points") and "2 wins, 1 ties, 1 losses" in str(there)
    assert there.summary()["difference"] == {"mean": there.difference.mean, "half_width": there.difference.half_width}


def test_a_run_compared_with_itself_differs_by_exactly_zero():
    same = result(np.random.default_rng(1).random(50))
    comparison = compare(same, same)
    assert comparison.difference == (0.0, 0.0)
    assert (comparison.wins, comparison.ties, comparison.losses, comparison.p_value) == (0, 50, 0, 1.0)


def test_small_differences_are_not_ties():
    """Mean squared errors of 1e-7 differ by much where one is twice the other."""
    values = np.array([1e-7, 3e-7, 2e-7])
    found = compare_paired(values, 2 * values, higher_is_better=False, measure="mse")
    assert (found.wins, found.ties, found.losses) == (3, 0, 0) and found.difference.mean < 0
    assert compare_paired(values, values * (1 + 3e-8)).ties == 3
    assert str(found).startswith("mse -0.0000 +- ")


def test_rounding_is_a_tie_and_a_constant_difference_is_certain():
    values = np.array([0.25, 0.5, 0.125])
    assert compare_paired(values, values + 3e-8).ties == 3
    certain = compare_paired(values + 0.25, values)
    assert certain.difference == (0.25, 0.0) and certain.p_value == 0.0 and certain.wins == 3


@pytest.mark.parametrize(
    "fields,named",
    [
        ({"data_digest": "e" * 64}, "data_digest dddddddddddd... != eeeeeeeeeeee..."),
        ({"ways": 20, "shots": 3}, "ways 5 != 20, shots 1 != 3"),
        ({"queries": 15}, "queries 10 != 15"),
        ({"seed": 1}, "seed 0 != 1"),
        ({}, "different tasks: tasks_digest tttt"),
    ],
)
def test_different_tasks_are_refused_with_the_differences(fields, named):
    with pytest.raises(InputError) as caught:
        compare(result([0.1, 0.2]), result([0.1, 0.2], tasks_digest="u" * 64, **fields))
    assert named in str(caught.value) and "Evaluate both" in str(caught.value)


def test_other_numbers_of_tasks_are_refused():
    with pytest.raises(InputError, match="num_tasks 2 != 3"):
        compare(result([0.1, 0.2]), result([0.1, 0.2, 0.3], tasks_digest="u" * 64))


def test_seed_summary_by_hand():
    runs = [
        result([0.4, 0.6], model_fingerprint="a"),
        result([0.5, 0.7], model_fingerprint="b"),
        result([0.6, 0.6], model_fingerprint="c"),
    ]
    summary = seed_summary(runs)  # means 0.5, 0.6, 0.6
    assert summary.mean == pytest.approx(17 / 30, rel=1e-6)
    assert summary.standard_deviation == pytest.approx(np.sqrt(1 / 300), rel=1e-6)
    assert str(summary) == "56.67 % +- 5.77 (standard deviation over 3 training seeds)"


def test_seed_summary_refuses_single_and_repeated_runs():
    run = result([0.4, 0.6], model_fingerprint="a")
    with pytest.raises(InputError, match=r"Got 1 runs; .* at least 2"):
        seed_summary([run])
    with pytest.raises(InputError, match="same trained model occurs twice"):
        seed_summary([run, result([0.5, 0.6], model_fingerprint="b"), dataclasses.replace(run)])
    with pytest.raises(InputError, match="different tasks"):
        seed_summary([run, result([0.5, 0.6], model_fingerprint="b", tasks_digest="u" * 64)])


def test_result_file_round_trip(tmp_path):
    run = result(np.random.default_rng(2).random(9), seed=7)
    run.save(tmp_path / "run.npz")
    back = EvaluationResult.load(tmp_path / "run.npz")
    for field in dataclasses.fields(run):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(run, field.name))
    assert back.summary() == run.summary() and str(back) == str(run)
    assert type(back.seed) is int and type(back.data_digest) is str
    (tmp_path / "run.npz").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match=r"expected the per-task results that evaluate\.py writes"):
        EvaluationResult.load(tmp_path / "run.npz")
