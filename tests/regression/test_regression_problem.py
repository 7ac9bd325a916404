"""Regression as the trainer sees it: metrics, figure, the best checkpoint, replicas, the learning rate's schedule."""

import csv
import dataclasses
import importlib.util
import math

import numpy as np
import pytest
import tensorflow as tf
from absl import flags

import leo_tf
from leo_tf import InputError
from leo_tf.commands import train
from leo_tf.config import EpisodeConfig, LEOConfig, RegressionConfig, RunConfig, TrainingConfig
from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.problem import Initialization, Validation
from leo_tf.randomness import VALIDATION
from leo_tf.regression import ambiguous, figure, metrics, problem
from leo_tf.regression.leo import RegressionLEO
from leo_tf.regression.sampling import FunctionSampler
from leo_tf.regression.tasks import draw_tasks
from leo_tf.runs.run_dir import RunDirectory
from leo_tf.training import MetaTraining, Trainer

CONFIG = RunConfig(
    LEOConfig(
        inner_unroll_length=1,
        finetuning_unroll_length=1,
        num_latents=2,
        inner_lr_init=0.01,
        dropout_rate=0.0,
        inner_gradient_norm_threshold=10.0,
    ),
    episodes=EpisodeConfig(num_tr_examples_per_class=4, num_val_examples_per_class=5),
    training=TrainingConfig(
        metatrain_batch_size=4,
        metavalid_tasks=10,
        checkpoint_steps=4,
        log_steps=2,
        jit="off",
        outer_lr=0.01,
        num_steps_limit=8,
    ),
    regression=RegressionConfig(network_units=4, encoder_units=4, relation_units=4, decoder_units=4),
    problem="regression",
)


def trainer(path, config=CONFIG, regression=None, figure=False, **training):
    training = dataclasses.replace(config.training, **training)
    regression = dataclasses.replace(config.regression, **(regression or {}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ambiguous, "_DRAWN_AT_ONCE", 200)  # the figure needs a few of the first
        if not figure:  # which takes seconds
            patch.setattr(problem, "find_panels", lambda *_: None)
        return Trainer(MetaTraining(dataclasses.replace(config, training=training, regression=regression)), path)


def weights(run):
    return [variable.numpy() for variable in run.work.learner.meta_variables]


def rows(path):
    with open(path / "metrics.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = trainer(tmp_path_factory.mktemp("run"), figure=True)
    assert made.run() == 8
    return made


def test_metrics_file(run):
    found = rows(run.folder.path)
    terms = ["loss", "query_loss", "kl", "encoder_penalty", "regularization", "nan_steps"]
    validation = [f"validation_{name}" for name in ("mse", "half_width", "crps", "coverage_90")]
    assert list(found[0]) == ["step", *terms, "gradient_norm", "steps_per_second", *validation]
    assert [int(row["step"]) for row in found if row["loss"]] == [2, 4, 6, 8]
    assert [int(row["step"]) for row in found if row["validation_mse"]] == [4, 8]
    assert all(float(row["query_loss"]) > 0 and float(row["encoder_penalty"]) > 0 for row in found if row["loss"])
    assert float(found[0]["kl"]) != 0


def test_the_last_validation_is_that_of_the_protocol(run):
    """Twenty functions of each of the run's validation tasks, of as many shots as in training."""
    tasks = draw_tasks(10, 0, VALIDATION)
    samples = FunctionSampler(run.work.learner, 10, jit=False).functions(*tasks.support(4), 20)
    expected = metrics.score(samples, tasks.truth)
    values = {name: float(value) for name, value in rows(run.folder.path)[-1].items() if name.startswith("validation")}
    interval = confidence_interval(expected.squared_error)
    assert values["validation_mse"] == pytest.approx(interval.mean, rel=1e-5)
    assert values["validation_half_width"] == pytest.approx(interval.half_width, rel=1e-5)
    assert values["validation_crps"] == pytest.approx(expected.crps.mean(), rel=1e-5)
    assert values["validation_coverage_90"] == pytest.approx(expected.coverage[2].mean(), abs=2e-3)


def test_tensorboard(run):
    tags, image = {}, None
    for curve in ("train", "validation"):
        for file in run.folder.events(curve).glob("events*"):
            for event in tf.compat.v1.train.summary_iterator(str(file)):
                for value in event.summary.value:
                    tags.setdefault((curve, value.tag), []).append(event.step)
                    if value.tag == "functions":
                        image = value.tensor.string_val
    names = "error/mse", "error/crps", "error/coverage_90", "functions", "rate/latent_learning_rate"
    for name in (*names, "weights/latent_learning_rate", "weights/encoder/bias", "weights/decoder/kernel"):
        assert tags["validation", name] == [4, 8], name
    for name in ("loss/query", "loss/encoder_penalty", "variable/gradient_norm/encoder/relation/second"):
        assert tags["train", name] == [2, 4, 6, 8], name
    assert {("train", "rate/latent_learning_rate"), ("train", "rate/finetuning_learning_rate")} <= tags.keys()
    assert image[2].startswith(b"\x89PNG") and int(image[0]) > 600


def validations(run, monkeypatch, values):
    """Let the run find these mean squared errors, one after another, and none of the figure."""
    found = iter(values)

    def validate():
        return Validation(Interval(next(found), 0.1), {"crps": 1.0, "coverage_90": 0.5})

    run.work.initialize()
    monkeypatch.setattr(run.work, "initialize", lambda previous=None: Initialization())
    monkeypatch.setattr(run.work, "validate", validate)


@pytest.mark.long
def test_the_best_has_the_least_error_and_is_a_number(tmp_path, monkeypatch):
    made = trainer(tmp_path, checkpoint_steps=1, num_steps_limit=5)
    assert not made.checkpoints.offer_best(math.nan) and made.checkpoints.best == (math.inf, -1)
    made.folder.claim(made.work.config, made.work.data_record)
    with pytest.raises(InputError, match="has no best checkpoint yet"):
        leo_tf.load(tmp_path)
    values = [math.nan, 5.0, 3.0, math.nan, 4.0]
    validations(made, monkeypatch, values)
    assert made.run() == 5
    assert made.checkpoints.best == (3.0, 3) and made.folder.best_step() == 3
    assert [row["validation_mse"] for row in rows(tmp_path) if row["validation_mse"]] == [f"{v:.8g}" for v in values]


def test_a_model_of_nan_validates_to_nan(run):
    """Weights that are no numbers reach the figure and the scores without an error."""
    bias = run.work.learner.decoder.biases[-1]
    before = bias.numpy()
    bias.assign(np.full(before.shape, np.nan))
    try:
        assert math.isnan(run.work.validate().interval.mean)
    finally:
        bias.assign(before)


@pytest.mark.long
def test_two_replicas_agree_with_one(run, tmp_path):
    double = trainer(tmp_path, distribution="mirrored")
    double.run()
    for ours, expected in zip(weights(double), weights(run), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=5e-4, atol=5e-4 * np.abs(expected).max())
    ours, expected = rows(double.folder.path), rows(run.folder.path)
    for name in ("loss", "query_loss", "kl", "validation_mse", "validation_crps"):
        for a, b in zip(ours, expected, strict=True):
            assert bool(a[name]) == bool(b[name])
            if a[name]:
                assert float(a[name]) == pytest.approx(float(b[name]), rel=2e-3, abs=1e-6), (a["step"], name)


def test_load_gives_the_best_checkpoint(run):
    model = leo_tf.load(run.folder.path)
    assert type(model) is RegressionLEO and run.checkpoints.best[1] in (4, 8)
    if run.checkpoints.best[1] == 8:
        for ours, expected in zip(model.meta_variables, weights(run), strict=True):
            np.testing.assert_array_equal(ours, expected)


def test_cosine_schedule(tmp_path):
    """Half a cosine from outer_lr to 0 at the run's last step, read from the optimizer as the run goes."""
    made = trainer(tmp_path, outer_lr_schedule="cosine", num_steps_limit=40, checkpoint_steps=40)
    optimizer = made.work.optimizer
    for step in (0, 1, 10, 20, 30, 40):
        optimizer.iterations.assign(step)
        expected = 0.01 * (1 + math.cos(math.pi * step / 40)) / 2
        assert float(optimizer.learning_rate) == pytest.approx(expected, rel=1e-5, abs=1e-9)
    assert float(trainer(tmp_path / "other").work.optimizer.learning_rate) == pytest.approx(0.01)


def test_the_end_of_a_cosine_run_is_fixed(tmp_path):
    def claim(name, **training):
        config = dataclasses.replace(CONFIG, training=dataclasses.replace(CONFIG.training, **training))
        RunDirectory(tmp_path / name).claim(config, {})

    claim("cosine", outer_lr_schedule="cosine")
    with pytest.raises(InputError, match=r"training\.num_steps_limit: 8 != 12"):
        claim("cosine", outer_lr_schedule="cosine", num_steps_limit=12)
    claim("cosine", outer_lr_schedule="cosine", metavalid_batch_size=3)
    claim("constant")
    claim("constant", num_steps_limit=12)
    with pytest.raises(InputError, match=r"training\.outer_lr_schedule: 'constant' != 'cosine'"):
        claim("constant", outer_lr_schedule="cosine")


def test_settings_without_meaning_are_refused():
    with pytest.raises(InputError, match=r"dropout_rate=0\.5 was given; expected 0 with problem=regression, see"):
        RunConfig(problem="regression")
    with pytest.raises(InputError, match=r"codes_from='prior' was given; expected encoder with problem=regression"):
        RunConfig(LEOConfig(dropout_rate=0.0, codes_from="prior"), problem="regression")
    for field, value in (("network_layers", 0), ("encoder_units", 0), ("noise_stddev", -1.0), ("weight_spread", -0.1)):
        with pytest.raises(InputError, match=rf"{field}={value} was given; expected "):
            RegressionConfig(**{field: value})


def test_more_shots_than_a_validation_task_has_are_refused(tmp_path):
    """They were cut to 20 without a word, so that the best checkpoint was that of another problem."""
    for shots in (20, 21):
        config = dataclasses.replace(CONFIG, episodes=EpisodeConfig(num_tr_examples_per_class=shots))
        if shots == 20:
            problem.Regression(config)
        else:
            with pytest.raises(InputError, match=r"num_tr_examples_per_class=21 was given; expected at most 20"):
                problem.Regression(config)


def test_summary_and_text(tmp_path):
    made = trainer(tmp_path).work.problem
    assert made.summary() == (
        "sinusoids and lines: 4 support and 5 query points per task, noise of standard deviation 0.3"
    )
    assert (made.text(1.23456), made.text(1.23456, 0.1)) == ("1.2346", "1.2346 +- 0.1000")


def test_no_figure_without_noise_or_matplotlib(monkeypatch):
    assert figure.find_panels(0.0, VALIDATION) is None
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "matplotlib" else find(name, *rest)
    )
    assert figure.find_panels(0.3, VALIDATION) is None
    assert figure.sampled_figures(None, None) == {}


def test_no_figure_where_noise_is_too_little_for_ambiguity(monkeypatch):
    """As with --noise_stddev=0.001: the run must not end at its first validation."""

    def none(*_):
        raise InputError("Among 100 tasks of 5 points with noise of 0.001 only 0 are ambiguous; expected 20.")

    monkeypatch.setattr(figure, "draw_ambiguous", none)
    monkeypatch.setattr(figure, "_CANDIDATES", 4)
    assert figure.find_panels(0.01, VALIDATION) is None


@pytest.mark.long
def test_the_command_says_that_every_validation_was_nan(tmp_path, monkeypatch):
    """It told the user to evaluate a best checkpoint that was not there, of mse inf at step -1."""
    made = trainer(tmp_path, num_steps_limit=4)
    validations(made, monkeypatch, [math.nan])
    monkeypatch.setattr(leo_tf.training, "MetaTraining", lambda *_: made.work)
    monkeypatch.setattr(leo_tf.training, "Trainer", lambda *_: made)
    monkeypatch.setattr(train, "run_config", lambda _: made.work.config)
    values = flags.FlagValues()
    train.define_flags(values)
    values(["train.py", f"--checkpoint_path={tmp_path}"])
    with pytest.raises(InputError, match="every validation was NaN: there is no best checkpoint"):
        train.run(values)
