"""Curvature and coverage: lengths and ranks by hand, claims that are supported and not."""

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, LEOConfig, MAMLConfig
from leo_tf.analysis.geometry import Geometry, check_claims, measure_geometry
from leo_tf.classification.analysis_target import ClassificationTarget
from leo_tf.classification.maml import MetaSGD
from leo_tf.classification.tasks import draw_tasks


@pytest.fixture(scope="module")
def target(table):
    config = LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4, finetuning_lr_init=0.5)
    return ClassificationTarget(LEO(config, 8, seed=1), table, draw_tasks(table, 3, 1, 5, 6))


def test_step_lengths_are_those_of_the_trace(target):
    found = measure_geometry(target, "LEO")
    (support,) = target.supports()
    trace = target.learner.trace(*support)
    assert {kind: lengths.shape for kind, lengths in found.steps.items()} == {
        "latent": (2, 6),
        "induced": (2, 6),
        "parameter": (1, 6),
    }
    moved = (trace.latents[2] - trace.latents[1])[4].numpy()
    assert found.steps["latent"][1, 4] == pytest.approx(np.sqrt((moved**2).sum()), rel=1e-5)
    decoded = target.learner.decoder.mean(trace.latents[1] - trace.latents[0])[2].numpy()
    assert found.steps["induced"][0, 2] == pytest.approx(np.sqrt((decoded**2).sum()), rel=1e-4)
    adapted = target.learner.adapt(*support)
    np.testing.assert_allclose(trace.parameters[-1], adapted, rtol=1e-5, atol=1e-7)
    last = (adapted - trace.parameters[2])[0].numpy()
    assert found.steps["parameter"][0, 0] == pytest.approx(np.sqrt((last**2).sum()), rel=1e-3)


def test_ranks_are_those_of_the_softmax_hessian(target):
    """Three examples of three classes: rank 3 * (3 - 1) wherever four dimensions hold three examples."""
    found = measure_geometry(target, "LEO")
    for ranks in found.ranks.values():
        np.testing.assert_array_equal(ranks, 6)
    for values in found.eigenvalues.values():
        assert values.shape == (6 * 6,) and (values > 0).all()
    assert found.singular_values.shape == (4,)


def test_latent_curvature_scales_with_the_square_of_the_decoder(target):
    """A decoder ten times as large that gives the same weights has latent eigenvalues 100 times as large."""
    model = target.learner
    large = LEO(model.config, 8, seed=1)
    large.decoder.kernel.assign(10 * large.decoder.kernel)
    large.encoder.relation.kernels[-1].assign(large.encoder.relation.kernels[-1] / 10)
    stretched = measure_geometry(ClassificationTarget(large, target.table, target.tasks), "large")
    found = measure_geometry(target, "LEO")
    for space, ratio in (("latents", 100), ("parameters", 1)):
        values = found.eigenvalues[space, "start"], stretched.eigenvalues[space, "start"]
        np.testing.assert_allclose(values[1], ratio * values[0], rtol=1e-3)
    np.testing.assert_allclose(stretched.singular_values, 10 * found.singular_values, rtol=1e-5)


def made(name, latent, direct, singular, steps):
    eigenvalues = {("parameters", point): np.full(9, direct) for point in ("start", "adapted")}
    if latent:
        eigenvalues |= {("latents", point): np.full(9, latent) for point in ("start", "adapted")}
    return Geometry(name, eigenvalues, {}, singular, {kind: np.full([2, 3], length) for kind, length in steps.items()})


def test_claims_are_judged_for_each_model():
    leo = made("LEO", 50.0, 0.5, np.linspace(12, 40, 64), {"latent": 0.1, "induced": 2.0, "parameter": 0.01})
    generator = made("generator", 5.0, 0.5, np.linspace(2, 40, 64), {"parameter": 0.01})
    metasgd = made("Meta-SGD", None, 0.5, None, {"parameter": 1.0})
    found = check_claims([leo, generator, metasgd])
    assert [each.verdict for each in found] == ["Partly supported", "Partly supported", "Supported"]
    assert [each.holds for each in found[:2]] == [{"LEO": True, "generator": False}] * 2
    assert "50 in latent and 0.5 in parameter space, 2.00 orders" in found[0].finding
    assert "0.1 long and moves the parameters by 2" in found[2].finding and "a ratio of 2." in found[2].finding
    assert [each.verdict for each in check_claims([leo])] == ["Supported"] * 2
    assert check_claims([metasgd]) == []
    far = made("Meta-SGD", None, 0.5, None, {"parameter": 3.0})
    assert check_claims([leo, far])[2].verdict == "Not supported"


def test_meta_sgd_has_parameter_space_only(table):
    model = MetaSGD(MAMLConfig(maml_steps=2, maml_lr=0.5), 8, 3)
    found = measure_geometry(ClassificationTarget(model, table, draw_tasks(table, 3, 2, 5, 4)), "Meta-SGD")
    assert found.singular_values is None and list(found.steps) == ["parameter"]
    assert found.steps["parameter"].shape == (2, 4) and tf.size(found.ranks["parameters", "start"]) == 4
