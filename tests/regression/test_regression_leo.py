"""LEO on regression: its numbers against NumPy, its meta-gradient against finite differences; as a Keras model."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
import regression_oracle as oracle
import tensorflow as tf
from scipy import stats

from leo_tf import InputError, LEOConfig
from leo_tf.config import RegressionConfig
from leo_tf.layers import distributions
from leo_tf.regression import network
from leo_tf.regression.episodes import RegressionEpisode, RegressionSampler
from leo_tf.regression.leo import RegressionLEO
from leo_tf.regression.sampling import FunctionSampler
from leo_tf.runs.registry import problem_of

CONFIG = LEOConfig(
    inner_unroll_length=2,
    finetuning_unroll_length=2,
    num_latents=3,
    dropout_rate=0.0,
    kl_weight=0.3,
    encoder_penalty_weight=0.2,
    l2_penalty_weight=0.01,
    orthogonality_penalty_weight=0.1,
)
SIZES = RegressionConfig(
    network_units=5, encoder_units=6, encoder_layers=3, relation_units=7, decoder_units=8, decoder_layers=2
)
UNITS, PARAMETERS = (1, 5, 5, 1), 46
TASKS, SHOTS, QUERIES = 3, 4, 6
QUANTILES = stats.norm.ppf((np.arange(65536) + 0.5) / 65536)
EPSILON = 1e-6


def make_model(regression=None, seed=5, **changes):
    """A model far from its initial state, in float64: all weights and rates differ, biases are not 0."""
    rng = np.random.default_rng(seed)
    sizes = dataclasses.replace(SIZES, **(regression or {}))
    model = RegressionLEO(dataclasses.replace(CONFIG, **changes), sizes, dtype="float64")
    for matrix in model.regularized_weights:
        scale = 0.8 / np.sqrt(matrix.shape[0]) if matrix.shape.rank == 2 else 0.3
        matrix.assign(rng.normal(size=matrix.shape) * scale)
    model.latent_learning_rate.assign(rng.uniform(0.01, 0.04, 3))
    model.finetuning_learning_rate.assign(rng.uniform(0.002, 0.02, PARAMETERS))
    return model


@pytest.fixture(scope="module")
def episode():
    return RegressionEpisode(*(tf.cast(v, tf.float64) for v in RegressionSampler(SHOTS, QUERIES).sample(0, 0, TASKS)))


@pytest.fixture(scope="module")
def bits():
    return np.random.default_rng(3).integers(0, 65536, (TASKS, 3 + 3 * PARAMETERS)).astype(np.uint16)


def normals_of(bits, task):
    """(of the code, [of each decode]) of one task."""
    values = (QUANTILES / QUANTILES.std())[bits[task]]
    return values[:3], values[3:].reshape(3, PARAMETERS)


def trained_on(model, episode, bits):
    return model.meta_loss(episode, True, noise=model.noise_from_bits(episode, tf.constant(bits)))


def arrays(episode, task):
    return [np.asarray(part[task]) for part in episode]


def test_layers_have_the_sizes_asked_for():
    model = make_model()
    assert [tuple(k.shape) for k in [*model.encoder.hidden.kernels, model.encoder.kernel]] == [(2, 6), (6, 6), (6, 3)]
    assert [tuple(k.shape) for k in model.encoder.relation.kernels] == [(6, 7), (7, 7), (7, 6)]
    assert [tuple(k.shape) for k in model.decoder.kernels] == [(3, 8), (8, 92)]
    assert [tuple(b.shape) for b in [*model.encoder.biases, *model.decoder.biases]] == [(6,), (6,), (3,), (8,), (92,)]
    assert model.units == UNITS and model.num_parameters == PARAMETERS
    assert [id(v) for v in model.meta_variables] == [id(v) for v in [*model.regularized_weights, *model.learning_rates]]
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in model.meta_variables}


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("relation_units", [7, 6])
def test_encoder_and_decoder(episode, bits, biases, relation_units):
    model = make_model({"biases": biases, "relation_units": relation_units, "weight_spread": 0.7})
    expected = oracle.LEO(model)
    codes = model.encode(*episode[:2])
    mean, stddev = codes.mean(), codes.stddev()
    latents = np.random.default_rng(1).normal(size=(TASKS, 3))
    normals = np.stack([normals_of(bits, task)[1][0] for task in range(TASKS)])
    parameters = model.decode(tf.constant(latents))
    decoded, means = distributions.sample_at(parameters, tf.constant(normals)), parameters.mean()
    np.testing.assert_array_equal(model.decoder.mean(tf.constant(latents)), means)
    for task in range(TASKS):
        for ours, theirs in zip((mean[task], stddev[task]), expected.encode(*arrays(episode, task)[:2]), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)
        np.testing.assert_allclose(decoded[task], expected.decode(latents[task], normals[task])[0], rtol=1e-9)
        np.testing.assert_allclose(means[task], expected.decode(latents[task], None)[0], rtol=1e-9)
    assert np.abs(decoded - means).min(axis=1).max() > 1e-6


def test_the_order_of_points_changes_nothing(episode):
    model, order = make_model(), [2, 0, 3, 1]
    turned = [tf.gather(part, order, axis=1) for part in episode[:2]]
    ours, theirs = model.encode(*turned), model.encode(*episode[:2])
    np.testing.assert_allclose(ours.mean(), theirs.mean(), rtol=1e-12)
    np.testing.assert_allclose(ours.stddev(), theirs.stddev(), rtol=1e-12)


@pytest.mark.parametrize("steps", [(0, 0), (1, 0), (0, 1), (2, 2)], ids=str)
@pytest.mark.parametrize("limit", [0.0, 0.8])
def test_adaptation(episode, bits, steps, limit):
    """Codes and parameters after latent steps, fine-tuning steps and both, sampled and of means."""
    model = make_model(
        inner_unroll_length=steps[0], finetuning_unroll_length=steps[1], inner_gradient_norm_threshold=limit
    )
    expected, used = oracle.LEO(model), 3 + (steps[0] + 1) * PARAMETERS
    assert model.normals_per_task == used
    normals = (QUANTILES / QUANTILES.std())[bits[:, :used]]
    sampled, kl, penalty, weights = model.adapt_in_training(*episode[:2], tf.constant(normals))
    assert weights is None
    means = model.adapt_in_evaluation(*episode[:2])
    for task in range(TASKS):
        x, y, *_ = arrays(episode, task)
        of_task = normals[task, :3], normals[task, 3:].reshape(-1, PARAMETERS)
        initial, adapted, theta = expected.adapt(x, y, of_task)
        assert np.isfinite(theta).all()
        np.testing.assert_allclose(sampled[task], theta, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(penalty[task], np.mean((adapted - initial) ** 2), rtol=1e-8)
        np.testing.assert_allclose(kl[task], expected.kl(x, y, of_task), rtol=1e-8)
        np.testing.assert_allclose(means[task], expected.adapt(x, y, None)[2], rtol=1e-8, atol=1e-10)
    if limit and sum(steps):
        free = make_model(inner_unroll_length=steps[0], finetuning_unroll_length=steps[1])
        acts = np.abs(free.adapt_in_evaluation(*episode[:2]) - means).max(axis=1)
        assert acts.max() > 0.01 and (acts[0] == 0 or steps != (2, 2))  # on the steep tasks, not on the first one


def test_the_oracles_gradients_are_gradients(episode):
    """Central differences of the support loss, in the code and in the parameters."""
    model = oracle.LEO(make_model())
    (x, y, *_), rng = arrays(episode, 0), np.random.default_rng(0)
    z, normals = rng.normal(size=3), rng.normal(size=PARAMETERS)
    theta, pull = model.decode(z, normals)
    gradient = oracle.mse_gradient(theta, x, y, UNITS)

    def slope(function, at, direction):
        return (function(at + EPSILON * direction) - function(at - EPSILON * direction)) / (2 * EPSILON)

    for _ in range(3):
        direction = rng.normal(size=PARAMETERS)
        found = slope(lambda t: oracle.mse(t, x, y, UNITS), theta, direction)
        np.testing.assert_allclose(found, gradient @ direction, rtol=1e-6)
        direction = rng.normal(size=3)
        found = slope(lambda code: oracle.mse(model.decode(code, normals)[0], x, y, UNITS), z, direction)
        np.testing.assert_allclose(found, pull(gradient) @ direction, rtol=1e-6)


def regularization(model):
    """L2 of kernels and biases, and the rows of the decoder's last kernel at right angles."""
    kernel = np.array(model.decoder.kernels[-1])
    rows = kernel / np.linalg.norm(kernel, axis=1, keepdims=True)
    variables = [v for v in model.trainable_variables if "learning_rate" not in v.path]
    l2 = sum(np.sum(np.array(v) ** 2) for v in variables) / 2
    return 0.01 * l2 + 0.1 * np.mean((rows @ rows.T - np.eye(len(rows))) ** 2)


def test_meta_loss(episode, bits):
    model = make_model()
    expected = oracle.LEO(model)
    trained, judged = trained_on(model, episode, bits), model.meta_loss(episode, False)
    terms = []
    for task in range(TASKS):
        x, y, query_x, query_y = arrays(episode, task)
        initial, adapted, theta = expected.adapt(x, y, normals_of(bits, task))
        kl, penalty = expected.kl(x, y, normals_of(bits, task)), np.mean((adapted - initial) ** 2)
        query_loss = oracle.mse(theta, query_x, query_y, UNITS)
        np.testing.assert_allclose(trained.query_loss[task], query_loss, rtol=1e-8)
        np.testing.assert_allclose(trained.kl[task], kl, rtol=1e-8)
        np.testing.assert_allclose(trained.encoder_penalty[task], penalty, rtol=1e-8)
        terms.append(query_loss + 0.3 * kl + 0.2 * penalty)
        query_loss = oracle.mse(expected.adapt(x, y, None)[2], query_x, query_y, UNITS)
        np.testing.assert_allclose(judged.query_loss[task], query_loss, rtol=1e-8)
    np.testing.assert_allclose(trained.regularization, regularization(model), rtol=1e-9)
    np.testing.assert_allclose(trained.loss, np.mean(terms) + regularization(model), rtol=1e-8)
    np.testing.assert_array_equal([judged.kl, judged.encoder_penalty], np.zeros((2, TASKS)))
    np.testing.assert_allclose(judged.loss, np.mean(judged.query_loss) + regularization(model), rtol=1e-12)


def test_not_stochastic_trains_on_means(episode):
    model = make_model(stochastic=False)
    assert model.normals_per_task == 0 and model.draw_bits(episode, 0).shape == (TASKS, 0)
    expected = oracle.LEO(model)
    outcome = model.meta_loss(episode, True, seed=4)
    np.testing.assert_array_equal(outcome.query_loss, model.meta_loss(episode, False).query_loss)
    np.testing.assert_array_equal(outcome.kl, np.zeros(TASKS))
    for task in range(TASKS):
        initial, adapted, _ = expected.adapt(*arrays(episode, task)[:2], None)
        np.testing.assert_allclose(outcome.encoder_penalty[task], np.mean((adapted - initial) ** 2), rtol=1e-8)
    np.testing.assert_array_equal(model.sample(*episode[:2], seed=3), model.adapt(*episode[:2]))


class Case:
    """The meta-loss with fixed noise as a function of the variables, and its gradient."""

    def __init__(self, episode, bits, **changes):
        # Weight 0: its stop-gradient makes the meta-gradient no derivative of the loss.
        self.model = make_model(encoder_penalty_weight=0.0, **changes)
        self.evaluate = tf.function(lambda: trained_on(self.model, episode, bits).loss)

    def gradients(self):
        variables = [variable.value for variable in self.model.meta_variables]
        with tf.GradientTape() as tape:
            loss = self.evaluate()
        return [np.asarray(g) for g in tape.gradient(loss, variables)]

    def slope(self, variable, direction, epsilon):
        value, ends = variable.numpy(), []
        for sign in (1, -1):
            variable.assign(value + sign * epsilon * direction)
            ends.append(float(self.evaluate()))
        variable.assign(value)
        return (ends[0] - ends[1]) / (2 * epsilon)


@pytest.mark.parametrize("limit", [pytest.param(0.0, marks=pytest.mark.long), 0.8])
def test_finite_differences(episode, bits, limit):
    """Along random directions and single elements of every variable, through all inner steps."""
    case, rng = Case(episode, bits, inner_gradient_norm_threshold=limit), np.random.default_rng(2)
    gradients = case.gradients()
    assert len(gradients) == 15
    for variable, gradient in zip(case.model.meta_variables, gradients, strict=True):
        size = np.linalg.norm(gradient)
        assert size > 1e-3, variable.path
        directions = [rng.normal(size=gradient.shape) for _ in range(3)]
        directions = [direction / np.linalg.norm(direction) for direction in directions]
        for element in rng.choice(gradient.size, min(3, gradient.size), replace=False):
            directions.append((np.arange(gradient.size) == element).astype(float).reshape(gradient.shape))
        for direction in directions:
            found = case.slope(variable, direction, EPSILON)
            # Where a ReLU's corner lies within reach, the loss has a jump, and no difference means anything.
            assert found == pytest.approx(case.slope(variable, direction, EPSILON / 3), rel=1e-4, abs=1e-6 * size)
            np.testing.assert_allclose(
                found, np.sum(gradient * direction), rtol=2e-6, atol=2e-7 * max(size, 1), err_msg=variable.path
            )


@pytest.mark.long
@pytest.mark.parametrize("limit", [0.8])
def test_first_order_is_another_gradient_of_the_same_loss(episode, bits, limit):
    second, first = (
        Case(episode, bits, first_order=order, inner_gradient_norm_threshold=limit) for order in (False, True)
    )
    assert float(first.evaluate()) == float(second.evaluate())
    for variable, ours, other in zip(second.model.meta_variables, second.gradients(), first.gradients(), strict=True):
        if variable.path.endswith("finetuning_learning_rate"):
            continue
        assert np.linalg.norm(ours - other) > 1e-3 * np.linalg.norm(ours), variable.path


def test_encoder_penalty_draws_only_the_initial_code(episode, bits):
    """Its gradient in the encoder's last bias, which adds to the code through the relation network: by differences with
    the adapted code held."""
    model, normals = make_model(), tf.constant((QUANTILES / QUANTILES.std())[bits])
    variable = model.encoder.biases[-1]
    with tf.GradientTape() as tape:
        penalty = tf.reduce_sum(model.adapt_in_training(*episode[:2], normals)[2])
    gradient = tape.gradient(penalty, variable.value)
    held = [oracle.LEO(model).adapt(*arrays(episode, t)[:2], normals_of(bits, t))[1] for t in range(TASKS)]

    def distance():
        leo = oracle.LEO(model)
        codes = [leo.encode(*arrays(episode, t)[:2]) for t in range(TASKS)]
        starts = [mean + stddev * normals_of(bits, t)[0] for t, (mean, stddev) in enumerate(codes)]
        return sum(np.mean((a - b) ** 2) for a, b in zip(starts, held, strict=True))

    for element in range(3):
        value, ends = variable.numpy(), []
        for sign in (1, -1):
            variable.assign(value + sign * EPSILON * (np.arange(3) == element))
            ends.append(distance())
        variable.assign(value)
        np.testing.assert_allclose(gradient[element], (ends[0] - ends[1]) / (2 * EPSILON), rtol=1e-5)


def test_adapting_repeats_and_sampling_is_a_function_of_seed_and_task(episode):
    model = make_model()
    adapted = model.adapt(*episode[:2])
    np.testing.assert_array_equal(model.adapt(*episode[:2]), adapted)
    samples = model.sample(*episode[:2], seed=7, first_task=10)
    np.testing.assert_array_equal(model.sample(*episode[:2], seed=7, first_task=10), samples)
    alone = model.sample(*(part[1:2] for part in episode[:2]), seed=7, first_task=11)
    np.testing.assert_allclose(alone, samples[1:2], rtol=1e-9)
    for other in (adapted, model.sample(*episode[:2], seed=8, first_task=10), model.sample(*episode[:2], seed=7)):
        assert np.abs(other - samples).max(axis=1).min() > 1e-4


def test_samples_scatter_as_drawn(episode):
    """Without steps, a sample is a decode: spread 0.1 of Glorot's about the mean when the decoder says exp(0)."""
    model = make_model({"biases": False}, inner_unroll_length=0, finetuning_unroll_length=0)
    for kernel in (*model.encoder.relation.kernels, *model.decoder.kernels):
        kernel.assign(tf.zeros_like(kernel))
    x, y = (tf.repeat(part[:1], 4000, axis=0) for part in episode[:2])
    samples = model.sample(x, y).numpy() / (0.1 * oracle.glorot(UNITS))
    assert np.abs(samples.mean(axis=0)).max() < 5 / np.sqrt(4000)
    assert np.abs(samples.std(axis=0) - 1).max() < 5 / np.sqrt(8000)


def test_meta_loss_noise_is_a_function_of_the_task(episode):
    model = make_model()
    whole = model.meta_loss(episode, True, seed=5, first_task=10)
    last = model.meta_loss(RegressionEpisode(*(part[2:] for part in episode)), True, seed=5, first_task=12)
    for name in ("query_loss", "kl", "encoder_penalty"):
        np.testing.assert_allclose(getattr(last, name), getattr(whole, name)[2:], rtol=1e-9)
    with pytest.raises(InputError, match="got neither seed nor noise; give one of them"):
        model.meta_loss(episode, training=True)


def test_the_decoder_starts_at_a_network_that_can_learn():
    model, other = (RegressionLEO(CONFIG, SIZES, seed=seed) for seed in (3, 4))
    start = network.initial_parameters(tf.constant([3, 6], tf.int64), UNITS)
    np.testing.assert_array_equal(model.decoder.biases[-1], np.concatenate([start, np.zeros(PARAMETERS)]))
    for bias in [*model.encoder.biases, *model.decoder.biases[:-1]]:
        np.testing.assert_array_equal(bias, np.zeros(bias.shape))
    for index, kernel in enumerate([*model.encoder.kernels, *model.decoder.kernels]):
        limit = np.sqrt(6 / sum(kernel.shape))
        assert 0.5 * limit < np.abs(kernel).max() <= limit
        assert np.abs(kernel.numpy() - other.regularized_weights[index].numpy()).max() > 0.1 * limit
    again, wide = RegressionLEO(CONFIG, SIZES, seed=3), RegressionLEO(CONFIG, SIZES, seed=3, dtype="float64")
    for ours, theirs, double in zip(model.meta_variables, again.meta_variables, wide.meta_variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_allclose(ours, double, rtol=1e-6)
        assert double.dtype == "float64"
    rates = [np.full(3, CONFIG.inner_lr_init), np.full(PARAMETERS, CONFIG.finetuning_lr_init)]
    for rate, expected in zip(model.learning_rates, rates, strict=True):
        np.testing.assert_allclose(rate, expected, rtol=1e-6)


def test_without_biases_there_are_none():
    model = RegressionLEO(CONFIG, dataclasses.replace(SIZES, biases=False), seed=3)
    assert len(model.meta_variables) == 10 and not model.encoder.biases and not model.decoder.biases
    np.testing.assert_array_equal(model.decode(tf.zeros([1, 3])).mean(), np.zeros((1, PARAMETERS)))


def test_the_configuration_has_124355_trainable_parameters():
    from absl import flags

    from leo_tf.commands.flags import define_run_flags, run_config

    values = flags.FlagValues()
    define_run_flags(values)
    flags.DEFINE_string("checkpoint_path", "", "", flag_values=values)
    path = Path(__file__).parents[2] / "configs" / "regression.cfg"
    assert values(["train.py", f"--flagfile={path}"])[1:] == []
    model = problem_of(run_config(values)).build_learner({}, seed=0)
    assert type(model) is RegressionLEO and model.num_parameters == 1761
    encoder, decoder = 2 * 32 + 32 + 32 * 32 + 32 + 32 * 16 + 16, 16 * 32 + 32 + 32 * 32 + 32 + 33 * 2 * 1761
    expected = encoder + 3 * 32 * 32 + decoder + 16 + 1761
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == expected == 124_355


@pytest.fixture(scope="module")
def fitted():
    """(model, loss before, loss after) of a fit on fixed meta-batches."""
    sampler = RegressionSampler(SHOTS, QUERIES)
    dataset = tf.data.Dataset.range(20).map(lambda i: sampler.sample(0, i * 8, 8))
    config = dataclasses.replace(CONFIG, kl_weight=1e-3, inner_lr_init=0.01, l2_penalty_weight=0.0)
    model = RegressionLEO(dataclasses.replace(config, inner_gradient_norm_threshold=10), SIZES, seed=0)
    model.compile(keras.optimizers.Adam(0.003), gradient_threshold=0, gradient_norm_threshold=10)
    before = model.evaluate(dataset, return_dict=True, verbose=0)
    history = model.fit(dataset, epochs=6, verbose=0)
    return model, dataset, before, model.evaluate(dataset, return_dict=True, verbose=0), history


@pytest.mark.long
def test_fit_learns(fitted):
    model, dataset, before, after, history = fitted
    assert set(after) == {"loss", "query_loss"}
    assert after["query_loss"] < 0.7 * before["query_loss"]
    assert history.history["loss"][-1] < 0.8 * history.history["loss"][0]
    outcomes = [model.meta_loss(RegressionEpisode(*batch), training=False) for batch in dataset]
    assert after["query_loss"] == pytest.approx(np.mean([o.query_loss for o in outcomes]), rel=1e-4)


@pytest.mark.long
def test_save_and_load_and_train_on(fitted, tmp_path):
    model, dataset, *_ = fitted
    episode = next(iter(dataset))
    model.save(tmp_path / "leo.keras")
    loaded = keras.saving.load_model(tmp_path / "leo.keras")
    assert type(loaded) is RegressionLEO and (loaded.config, loaded.regression) == (model.config, model.regression)
    np.testing.assert_array_equal(loaded(episode), model(episode))
    np.testing.assert_array_equal(loaded.sample(*episode[:2]), model.sample(*episode[:2]))
    copy = RegressionLEO.from_config(model.get_config())
    assert (copy.config, copy.regression, copy.name) == (model.config, model.regression, model.name)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(episode), model(episode))
    for each in (model, loaded):
        each.fit(dataset.take(3), verbose=0)
    for ours, theirs in zip(loaded.meta_variables, model.meta_variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_inputs_are_cast_as_by_keras_layers(episode):
    model = make_model()
    narrow = RegressionEpisode(*(tf.cast(part, tf.float32) for part in episode))
    wide = RegressionEpisode(*(tf.cast(part, tf.float64) for part in narrow))
    parameters = model.adapt(*wide[:2])
    np.testing.assert_array_equal(model.adapt(*narrow[:2]), parameters)
    np.testing.assert_array_equal(model.predict_at(narrow.query_x, parameters), model.predict_at(wide[2], parameters))
    assert model.meta_loss(narrow, True, seed=0).loss == model.meta_loss(wide, True, seed=0).loss
    functions = FunctionSampler(model, TASKS, jit=False).functions(*narrow[:2], 1, seed=3)
    assert functions.shape == (1, TASKS, 100) and np.isfinite(functions).all()


def test_calling_predicts_the_queries(episode):
    model = make_model()
    found, parameters = model(episode), model.adapt(*episode[:2])
    assert found.shape == (TASKS, QUERIES, 1)
    for task in range(TASKS):
        expected = oracle.predict(parameters[task].numpy(), arrays(episode, task)[2], UNITS)
        np.testing.assert_allclose(found[task], expected, rtol=1e-9)


@pytest.mark.parametrize("method", ["adapt", "sample"])
@pytest.mark.parametrize("x,y", [((2, 3), (2, 3)), ((2, 3, 1), (2, 4, 1)), ((2, 3, 2), (2, 3, 2)), ((3, 1), (2, 3, 1))])
def test_wrong_shapes(method, x, y):
    with pytest.raises(
        InputError, match=r"support_x and support_y have shapes \(.*\); expected both \[tasks, shots, 1"
    ):
        getattr(make_model(), method)(np.zeros(x), np.zeros(y))


def test_support_that_is_not_finite_is_refused(episode):
    for bad in (np.nan, np.inf):
        with pytest.raises(InputError, match="holds NaN or infinity; expected finite numbers"):
            make_model().adapt(episode.support_x, episode.support_y + bad)
