"""Geometry: lengths and ranks by hand, claims that hold and that do not."""

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, LEOConfig, MAMLConfig
from leo_tf.analysis.geometry import Geometry, claims, geometry_of
from leo_tf.classification.analysis_target import ClassificationTarget
from leo_tf.classification.maml import MetaSGD
from leo_tf.classification.tasks import draw_tasks


@pytest.fixture(scope="module")
def subject(table):
    config = LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4, finetuning_lr_init=0.5)
    return ClassificationTarget(LEO(config, 8, seed=1), table, draw_tasks(table, 3, 1, 5, 6))


def test_steps_are_those_that_adaptation_takes(subject):
    found = geometry_of(subject, "LEO")
    (support,) = subject.supports()
    trace = subject.learner.trace(*support)
    assert {kind: lengths.shape for kind, lengths in found.steps.items()} == {
        "latent": (2, 6),
        "induced": (2, 6),
        "parameter": (1, 6),
    }
    moved = (trace.latents[2] - trace.latents[1])[4].numpy()
    assert found.steps["latent"][1, 4] == pytest.approx(np.sqrt((moved**2).sum()), rel=1e-5)
    decoded = subject.learner.decoder.mean(trace.latents[1] - trace.latents[0])[2].numpy()
    assert found.steps["induced"][0, 2] == pytest.approx(np.sqrt((decoded**2).sum()), rel=1e-4)
    adapted = subject.learner.adapt(*support)
    np.testing.assert_allclose(trace.parameters[-1], adapted, rtol=1e-5, atol=1e-7)
    last = (adapted - trace.parameters[2])[0].numpy()
    assert found.steps["parameter"][0, 0] == pytest.approx(np.sqrt((last**2).sum()), rel=1e-3)


def test_ranks(subject):
    """Three examples of three classes: rank 3 * (3 - 1) wherever four dimensions hold three examples."""
    found = geometry_of(subject, "LEO")
    for ranks in found.ranks.values():
        np.testing.assert_array_equal(ranks, 6)
    for values in found.eigenvalues.values():
        assert values.shape == (6 * 6,) and (values > 0).all()
    assert found.singular_values.shape == (4,)


def test_latent_curvature_is_that_of_parameters_stretched(subject):
    """Of a decoder ten times as large, with weights as before, latent eigenvalues are 100 times as large."""
    model = subject.learner
    large = LEO(model.config, 8, seed=1)
    large.decoder.kernel.assign(10 * large.decoder.kernel)
    large.encoder.relation.kernels[-1].assign(large.encoder.relation.kernels[-1] / 10)
    stretched = geometry_of(ClassificationTarget(large, subject.table, subject.tasks), "large")
    found = geometry_of(subject, "LEO")
    for space, ratio in (("latents", 100), ("parameters", 1)):
        values = found.eigenvalues[space, "start"], stretched.eigenvalues[space, "start"]
        np.testing.assert_allclose(values[1], ratio * values[0], rtol=1e-3)
    np.testing.assert_allclose(stretched.singular_values, 10 * found.singular_values, rtol=1e-5)


def made(name, latent, direct, singular, steps):
    eigenvalues = {("parameters", point): np.full(9, direct) for point in ("start", "adapted")}
    if latent:
        eigenvalues |= {("latents", point): np.full(9, latent) for point in ("start", "adapted")}
    return Geometry(name, eigenvalues, {}, singular, {kind: np.full([2, 3], length) for kind, length in steps.items()})


def test_claims():
    leo = made("LEO", 50.0, 0.5, np.linspace(12, 40, 64), {"latent": 0.1, "induced": 2.0, "parameter": 0.01})
    generator = made("generator", 5.0, 0.5, np.linspace(2, 40, 64), {"parameter": 0.01})
    metasgd = made("Meta-SGD", None, 0.5, None, {"parameter": 1.0})
    found = claims([leo, generator, metasgd])
    assert [each.verdict for each in found] == ["In part", "In part", "Borne out"]
    assert [each.holds for each in found[:2]] == [{"LEO": True, "generator": False}] * 2
    assert "50 in latent and 0.5 in parameter space, 2.00 orders" in found[0].finding
    assert "0.1 long and moves the parameters by 2" in found[2].finding and "a ratio of 2." in found[2].finding
    assert [each.verdict for each in claims([leo])] == ["Borne out"] * 2
    assert claims([metasgd]) == []
    far = made("Meta-SGD", None, 0.5, None, {"parameter": 3.0})
    assert claims([leo, far])[2].verdict == "Not borne out"


def test_of_metasgd(table):
    model = MetaSGD(MAMLConfig(maml_steps=2, maml_lr=0.5), 8, 3)
    found = geometry_of(ClassificationTarget(model, table, draw_tasks(table, 3, 2, 5, 4)), "Meta-SGD")
    assert found.singular_values is None and list(found.steps) == ["parameter"]
    assert found.steps["parameter"].shape == (2, 4) and tf.size(found.ranks["parameters", "start"]) == 4
