"""The spectrum without a Hessian, against the Hessian by automatic differentiation."""

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, LEOConfig, MAMLConfig, objective
from leo_tf.classification.analysis_target import ClassificationTarget
from leo_tf.classification.curvature import spectrum
from leo_tf.classification.learner import join_examples
from leo_tf.classification.maml import MetaSGD
from leo_tf.classification.proto_leo import ProtoLEO
from leo_tf.classification.tasks import draw_tasks
from leo_tf.config import ProtoLEOConfig


def eigenvalues(loss, values):
    """Return the eigenvalues [n] of the whole Hessian of a loss at values of any shape."""
    with tf.GradientTape() as outer:
        outer.watch(values)
        with tf.GradientTape() as inner:
            inner.watch(values)
            total = loss(values)
        gradient = inner.gradient(total, values)
    hessian = outer.jacobian(gradient, values)
    size = int(tf.size(values))
    return np.linalg.eigvalsh(tf.reshape(hessian, [size, size]).numpy().astype(np.float64))


def cross_entropy(inputs, labels):
    return lambda weights: tf.reduce_sum(objective.cross_entropy(tf.matmul(inputs, weights, transpose_b=True), labels))


@pytest.mark.parametrize("examples, ways, dim", [(3, 3, 6), (6, 3, 8), (8, 2, 3), (7, 4, 5)])
def test_spectrum_is_that_of_the_hessian(examples, ways, dim):
    rng = np.random.default_rng(0)
    inputs, weights = tf.constant(rng.normal(size=(examples, dim))), tf.constant(rng.normal(size=(ways, dim)))
    labels = tf.constant(rng.integers(ways, size=examples))
    whole = eigenvalues(cross_entropy(inputs, labels), weights)
    found = spectrum(tf.matmul(inputs, weights, transpose_b=True)[tf.newaxis], inputs[tf.newaxis])[0]
    count = min(len(found), len(whole))
    np.testing.assert_allclose(found[-count:], whole[-count:], atol=1e-12 * whole[-1])
    np.testing.assert_allclose(whole[:-count], 0, atol=1e-12 * whole[-1])
    rank = np.sum(whole > 1e-9 * whole[-1])
    assert rank == min(examples, dim) * (ways - 1) == np.sum(found > 1e-9 * found[-1])


@pytest.mark.parametrize(
    ("prototypes", "temperature"),
    [pytest.param(False, 1.0, marks=pytest.mark.long), pytest.param(True, 1.0, marks=pytest.mark.long), (True, 2.0)],
)
def test_spectra_of_leo_in_both_spaces(table, prototypes, temperature):
    """At the start the codes decode to the first classifier; after the latent steps, to that of their last step."""
    config = LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4, finetuning_lr_init=0.5)
    model = LEO(config, 8, seed=1, dtype="float64")
    if prototypes:
        added = ProtoLEOConfig(latent_codes=True, fit_penalty=0.0)
        model = ProtoLEO(config, added, 8, seed=1, dtype="float64")
        model.support_log_temperature.assign(np.log(temperature))
        model.decoder.kernel.assign(np.random.default_rng(0).normal(size=model.decoder.kernel.shape))
    target = ClassificationTarget(model, table, draw_tasks(table, 3, 1, 5, 2))
    support = tuple(tf.cast(each, "float64") if each.dtype.is_floating else each for each in next(target.supports()))
    trace = model.trace(*support)
    inputs, labels = (join_examples(each) for each in support)
    for adapted in (False, True):
        found = target.spectra(support, trace, adapted)
        for task in range(2):
            loss = cross_entropy(inputs[task] / temperature, labels[task])
            weights = trace.parameters[-1 if adapted else 0][task]
            np.testing.assert_allclose(found.parameters[task][-6:], eigenvalues(loss, weights)[-6:], rtol=1e-6)
            codes = trace.latents[-1 if adapted else 0][task]
            start = trace.parameters[0][task] - model.decoder.mean(trace.latents[0][task])
            of_codes = eigenvalues(lambda z, at=start, of=loss: of(at + model.decoder.mean(z)), codes)
            np.testing.assert_allclose(found.latents[task][-6:], of_codes[-6:], rtol=1e-6)


def test_without_a_decoder_only_parameters_have_a_spectrum(table):
    model = MetaSGD(MAMLConfig(maml_steps=2), 8, 3)
    target = ClassificationTarget(model, table, draw_tasks(table, 3, 1, 5, 4))
    support = next(target.supports())
    found = target.spectra(support, model.trace(*support), False)
    assert found.latents is None and found.parameters.shape == (4, 9)


def test_singular_values_bound_the_decoders_expansion(table):
    model = LEO(LEOConfig(num_latents=4), 8, seed=1)
    target = ClassificationTarget(model, table, draw_tasks(table, 3, 1, 5, 2))
    values = target.singular_values(None)
    codes = tf.random.stateless_normal([100, 4], [0, 1])
    stretched = np.linalg.norm(model.decoder.mean(codes), axis=1) / np.linalg.norm(codes, axis=1)
    assert values.shape == (4,) and (np.diff(values) <= 0).all()
    assert values[-1] <= stretched.min() and stretched.max() <= values[0] * (1 + 1e-6)
