"""Training on several samples a task: the meta-loss against NumPy, its gradient, exact resume; the default."""

import dataclasses
import itertools

import numpy as np
import pytest
import regression_oracle as oracle
import tensorflow as tf
from scipy import special, stats

from leo_tf import InputError, LEOConfig
from leo_tf.config import EpisodeConfig, MAMLConfig, RegressionConfig, RunConfig, TrainingConfig
from leo_tf.regression import problem
from leo_tf.regression.episodes import RegressionEpisode, RegressionSampler
from leo_tf.regression.leo import RegressionLEO
from leo_tf.regression.maml import RegressionMAML
from leo_tf.training import MetaTraining, Trainer

CONFIG = LEOConfig(
    inner_unroll_length=2,
    finetuning_unroll_length=1,
    num_latents=3,
    dropout_rate=0.0,
    kl_weight=0.3,
    encoder_penalty_weight=0.2,
    l2_penalty_weight=0.0,
    orthogonality_penalty_weight=0.0,
    inner_gradient_norm_threshold=0.8,
)
SIZES = RegressionConfig(network_units=5, encoder_units=6, relation_units=7, decoder_units=8, decoder_layers=2)
UNITS, PARAMETERS = (1, 5, 5, 1), 46
TASKS, SHOTS, QUERIES = 3, 4, 6
QUANTILES = stats.norm.ppf((np.arange(65536) + 0.5) / 65536)
KINDS = {
    "energy": {"training_loss": "energy_score", "training_samples": 3},
    "energy without weight noise": {"training_loss": "energy_score", "training_samples": 2, "weight_spread": 0.0},
    "energy of smoothed functions": {"training_loss": "energy_score", "training_samples": 2, "score_width": 0.8},
    "energy of a mixture": {"training_loss": "energy_score", "training_samples": 2, "code_components": 2},
    "energy of candidates": {
        **{"training_loss": "energy_score", "training_samples": 2, "weight_spread": 0.0},
        **{"code_candidates": 3, "candidate_temperature": 5.0},
    },
    "energy of a mixture's candidates": {
        **{"training_loss": "energy_score", "training_samples": 2, "score_width": 0.8, "code_components": 2},
        **{"code_candidates": 2, "candidate_temperature": 3.0},
    },
    "squared error": {"training_samples": 3},
    "squared error of a mixture": {"code_components": 2},
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
# Parts of the others.
SLOW = {"energy of a mixture", "energy of candidates", "energy of smoothed functions", "energy without weight noise"}


def make_model(kind, **changes):
    """A model far from its initial state, in float64."""
    rng = np.random.default_rng(5)
    model = RegressionLEO(dataclasses.replace(CONFIG, **changes), dataclasses.replace(SIZES, **kind), dtype="float64")
    for matrix in model.regularized_weights:
        matrix.assign(
            rng.normal(size=matrix.shape) * (0.8 / np.sqrt(matrix.shape[0]) if matrix.shape.rank == 2 else 0.3)
        )
    model.latent_learning_rate.assign(rng.uniform(0.01, 0.04, 3))
    model.finetuning_learning_rate.assign(rng.uniform(0.002, 0.02, PARAMETERS))
    return model


@pytest.fixture(scope="module")
def episode():
    return RegressionEpisode(*(tf.cast(v, tf.float64) for v in RegressionSampler(SHOTS, QUERIES).sample(0, 0, TASKS)))


def distance(a, b):
    return np.sqrt(np.mean((a - b) ** 2) + 1e-6)


def loss_of(values, target, weights, kind):
    """Loss of one task's values [samples, candidates, n], from its definition: over all ways to take candidates."""
    samples = [list(zip(w, v, strict=True)) for w, v in zip(weights, values, strict=True)]
    if "training_loss" not in kind:
        return np.mean([sum(w * np.mean((v - target) ** 2) for w, v in each) for each in samples])
    total = np.mean([sum(w * distance(v, target) for w, v in each) for each in samples])
    pairs = [
        sum(w * u * distance(a, b) for w, a in one for u, b in other)
        for one, other in itertools.permutations(samples, 2)
    ]
    return total - np.mean(pairs) / 2


@each_kind
def test_meta_loss(episode, kind):
    """The bits of a task are those of its samples, one after another; a sample's last are of its queries' noise."""
    model = make_model(kind)
    expected, sizes = oracle.LEO(model), model.regression
    samples, parts, candidates = sizes.training_samples, sizes.code_components, sizes.candidates
    decodes = 3 if sizes.weight_spread else 0
    of_queries = QUERIES if "training_loss" in kind else 0
    of_code, choice = 3 + decodes * PARAMETERS, int(candidates > 1)
    count = choice + candidates * of_code + of_queries
    bits = model.draw_bits(episode, 7)
    assert bits.shape == (TASKS, samples * count)
    found = model.meta_loss(episode, True, noise=model.noise_from_bits(episode, bits))
    normals = (QUANTILES / QUANTILES.std())[bits.numpy()].reshape(TASKS, samples, count)
    terms = []
    for task in range(TASKS):
        x, y, query_x, query_y = (np.asarray(part[task]) for part in episode)
        shares, kl, penalty = expected.shares(x, y), 0.0, 0.0
        values, weights = np.empty([samples, candidates, QUERIES]), np.empty([samples, candidates])
        for sample, candidate in np.ndindex(samples, candidates):
            numbers = normals[task, sample, choice + candidate * of_code :][:of_code]
            part = candidate % parts
            share = shares[part] * parts / candidates
            of_weights = numbers[3:].reshape(decodes, PARAMETERS) if decodes else np.zeros((3, PARAMETERS))
            initial, adapted, theta = expected.adapt(x, y, (numbers[:3], of_weights), part)
            noise = 0.3 * normals[task, sample, count - of_queries :] if of_queries else 0.0
            values[sample, candidate] = oracle.predict(theta, query_x, UNITS)[:, 0] + noise
            likely = stats.norm.logpdf(oracle.predict(theta, x, UNITS), y, 0.3).sum()
            temperature = sizes.candidate_temperature
            weights[sample, candidate] = np.log(share) + (likely / temperature if temperature else 0.0)
            kl += share * expected.kl(x, y, (numbers[:3], None), part) / samples
            penalty += share * np.mean((adapted - initial) ** 2) / samples
        weights = special.softmax(weights, axis=1)
        targets = query_y[:, 0]
        if "score_width" in kind:
            near = np.exp(-0.5 * ((query_x - query_x.T) / kind["score_width"]) ** 2)
            near /= near.sum(axis=1, keepdims=True)
            values, targets = values @ near.T, near @ targets
        query_loss = loss_of(values, targets, weights, kind)
        np.testing.assert_allclose(found.query_loss[task], query_loss, rtol=1e-7)
        np.testing.assert_allclose(found.kl[task], kl, rtol=1e-7)
        np.testing.assert_allclose(found.encoder_penalty[task], penalty, rtol=1e-7)
        terms.append(query_loss + 0.3 * kl + 0.2 * penalty)
    np.testing.assert_allclose(found.loss, np.mean(terms), rtol=1e-7)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=name, marks=[pytest.mark.long] * (name in SLOW)) for name, kind in KINDS.items()]
)
def test_finite_differences(episode, kind):
    """Along random directions of every variable, through all samples and inner steps."""
    model = make_model(kind, encoder_penalty_weight=0.0)  # whose stop-gradient makes it no derivative
    noise, rng = model.noise_from_bits(episode, model.draw_bits(episode, 1)), np.random.default_rng(2)
    evaluate = tf.function(lambda: model.meta_loss(episode, True, noise=noise).loss)
    with tf.GradientTape() as tape:
        loss = evaluate()
    gradients = tape.gradient(loss, [variable.value for variable in model.meta_variables])
    for variable, gradient in zip(model.meta_variables, gradients, strict=True):
        value = variable.numpy()
        for _ in range(3):
            direction = rng.normal(size=value.shape) / np.sqrt(value.size)
            ends = []
            for step in (1e-6, -1e-6):
                variable.assign(value + step * direction)
                ends.append(float(evaluate()))
            variable.assign(value)
            found, scale = (ends[0] - ends[1]) / 2e-6, max(np.linalg.norm(gradient), 1)
            np.testing.assert_allclose(
                found, np.sum(gradient * direction), rtol=1e-5, atol=1e-6 * scale, err_msg=variable.path
            )
        assert np.linalg.norm(gradient) > 1e-3, variable.path


def test_the_default_is_one_sample_of_squared_error(episode):
    """Of the same numbers as ever: (codes, decodes), none for choices or queries."""
    model = make_model({})
    assert model.draw_bits(episode, 0).shape == (TASKS, 3 + 3 * PARAMETERS)
    several = make_model({"training_samples": 1, "training_loss": "squared_error", "code_components": 1})
    for ours, theirs in zip(
        model.meta_loss(episode, True, seed=3), several.meta_loss(episode, True, seed=3), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert [v.path.partition("/")[2] for v in model.meta_variables] == [
        v.path.partition("/")[2] for v in several.meta_variables
    ]


@each_kind
def test_validation_is_by_squared_error(episode, kind):
    model = make_model(kind)
    theta = model.adapt(*episode[:2])
    expected = np.mean((model.predict_at(episode.query_x, theta) - episode.query_y) ** 2, axis=(1, 2))
    np.testing.assert_allclose(model.meta_loss(episode, False).query_loss, expected, rtol=1e-12)


def test_a_mixture_adapts_its_likeliest_component_and_samples_all(episode):
    model = make_model(KINDS["energy of a mixture"])
    model.encoder.relation.further.assign(20 * model.encoder.relation.further)  # shares far from halves
    expected, support = oracle.LEO(model), episode[:2]
    counts = np.zeros(TASKS)
    for task in range(TASKS):
        x, y = (np.asarray(part[task]) for part in support)
        shares = expected.shares(x, y)
        best = expected.adapt(x, y, None, int(np.argmax(shares)))[2]
        np.testing.assert_allclose(model.adapt(*support)[task], best, rtol=1e-8, atol=1e-10)
        x, y = (tf.repeat(part[task : task + 1], 2000, axis=0) for part in support)
        of_choice = np.random.default_rng(0).normal(size=(2000, 1))
        normals = np.concatenate([of_choice, np.zeros((2000, model.normals_per_task - 1))], axis=1)
        found = model.sample_with(x, y, tf.constant(normals)).numpy()
        zeros = np.zeros(3), np.zeros((3, PARAMETERS))
        places = [expected.adapt(*(np.asarray(p[task]) for p in support), zeros, k)[2] for k in range(2)]
        nearest = [np.abs(found - place).max(axis=1) < 1e-6 for place in places]
        assert np.all(nearest[0] ^ nearest[1])
        counts[task] = nearest[1].mean()
        assert counts[task] == pytest.approx(shares[1], abs=4 * np.sqrt(0.25 / 2000))
    assert np.ptp(counts) > 0.02  # the shares are the tasks' own


def test_of_candidates_the_one_is_sampled_that_fits(episode):
    """Far apart codes: the chosen network is, mostly, the best of its candidates; as often as the weights say."""
    model = make_model(KINDS["energy of candidates"], inner_unroll_length=0, finetuning_unroll_length=0)
    x, y = (tf.repeat(part[:1], 3000, axis=0) for part in episode[:2])
    normals = tf.constant(np.random.default_rng(0).normal(size=(3000, model.normals_per_task)))
    every, found = model.adapt_in_training(x, y, normals), model.sample_with(x, y, normals).numpy()
    candidates, weights = every.parameters.numpy().reshape(3000, 3, PARAMETERS), every.weights.numpy()[:, 0]
    for row in range(5):
        errors = [np.sum((oracle.predict(theta, np.asarray(x[row]), UNITS) - y[row]) ** 2) for theta in candidates[row]]
        np.testing.assert_allclose(weights[row], special.softmax(np.array(errors) / (-2 * 0.09 * 5)), rtol=1e-8)
    matches = np.all(candidates == found[:, np.newaxis], axis=2)
    assert np.all(matches.sum(axis=1) == 1)
    assert weights[matches].mean() == pytest.approx(np.mean(np.sum(weights**2, axis=1)), abs=0.03)
    assert matches[np.arange(3000), weights.argmax(axis=1)].mean() == pytest.approx(
        weights.max(axis=1).mean(), abs=0.03
    )


def test_sampling_may_be_colder_than_training(episode):
    support = [tf.repeat(part[:1], 500, axis=0) for part in episode[:2]]
    model, cold = (
        make_model({**KINDS["energy of candidates"], **more}) for more in ({}, {"sampling_temperature": 0.5})
    )
    normals = tf.constant(np.random.default_rng(0).normal(size=(500, model.normals_per_task)))
    warm, same = (each.adapt_in_training(*support, normals) for each in (model, cold))
    np.testing.assert_array_equal(warm.weights, same.weights)
    trained_so = make_model({**KINDS["energy of candidates"], "candidate_temperature": 0.5})
    found, expected = (each.sample_with(*support, normals) for each in (cold, trained_so))
    np.testing.assert_array_equal(found, expected)
    assert np.any(found != model.sample_with(*support, normals))


RUN = RunConfig(
    dataclasses.replace(CONFIG, inner_lr_init=0.01, inner_gradient_norm_threshold=10.0),
    episodes=EpisodeConfig(num_tr_examples_per_class=4, num_val_examples_per_class=5),
    training=TrainingConfig(
        metatrain_batch_size=4,
        metavalid_tasks=10,
        checkpoint_steps=2,
        log_steps=2,
        jit="off",
        outer_lr=0.01,
        num_steps_limit=4,
    ),
    regression=dataclasses.replace(SIZES, **KINDS["energy of a mixture"]),
    problem="regression",
)


def train(path, steps, monkeypatch, **training):
    monkeypatch.setattr(problem, "find_panels", lambda *_: None)  # the figure, which takes seconds
    config = dataclasses.replace(RUN, training=dataclasses.replace(RUN.training, num_steps_limit=steps, **training))
    made = Trainer(MetaTraining(config), path)
    made.run()
    return [variable.numpy() for variable in made.work.learner.meta_variables]


@pytest.mark.long
def test_a_run_goes_on_exactly(tmp_path, monkeypatch):
    whole = train(tmp_path / "whole", 4, monkeypatch)
    train(tmp_path / "parts", 2, monkeypatch)
    for ours, expected in zip(train(tmp_path / "parts", 4, monkeypatch), whole, strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.long
def test_two_replicas_agree_with_one(tmp_path, monkeypatch):
    whole = train(tmp_path / "whole", 4, monkeypatch)
    double = train(tmp_path / "double", 4, monkeypatch, distribution="mirrored")
    for ours, expected in zip(double, whole, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=5e-4, atol=5e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "settings,expected",
    [
        ({"training_loss": "energy_score"}, "training_samples=1 was given; expected at least 2 with the energy_score"),
        (
            {"training_samples": 400, "code_components": 3},
            "training_samples=400 was given; expected at most 1000 codes",
        ),
        ({"code_candidates": 2}, "code_candidates=2 was given; expected 1 without a candidate_temperature"),
        (
            {"candidate_temperature": 4.0, "noise_stddev": 0.0},
            "candidate_temperature=4.0 was given; expected 0 with one candidate, or with noise_stddev=0",
        ),
        ({"sampling_temperature": 2.0}, "sampling_temperature=2.0 was given; expected 0 without a candidate_temp"),
        (
            {"training_loss": "likelihood"},
            r"training_loss='likelihood' was given; expected squared_error or energy_score",
        ),
    ],
)
def test_settings_that_do_not_go_together(settings, expected):
    with pytest.raises(InputError, match=expected):
        RegressionConfig(**settings)


def test_models_without_samples_take_the_papers_loss():
    regression = RegressionConfig(training_samples=4)
    expected = r"training_samples=4 was given; expected 1 with deterministic models"
    for make in (
        lambda: RunConfig(MAMLConfig(dropout_rate=0.0), regression=regression, problem="regression", algorithm="maml"),
        lambda: RunConfig(LEOConfig(dropout_rate=0.0, stochastic=False), regression=regression, problem="regression"),
        lambda: RegressionMAML(regression=regression),
        lambda: RegressionLEO(LEOConfig(stochastic=False), regression),
    ):
        with pytest.raises(InputError, match=expected):
            make()
