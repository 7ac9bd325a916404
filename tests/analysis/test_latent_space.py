"""The latent space of small models: codes and their order, projections, and files for the projector."""

import numpy as np
import pytest

from leo_tf import LEO, InputError, LEOConfig, MAMLConfig
from leo_tf.analysis.latent_section import draw_projection, projector_files
from leo_tf.analysis.latent_space import measure_latent_space
from leo_tf.classification.analysis_target import ClassificationTarget
from leo_tf.classification.maml import MAML
from leo_tf.classification.tasks import draw_tasks
from leo_tf.regression import RegressionLEO
from leo_tf.regression.analysis_target import RegressionTarget
from leo_tf.regression.tasks import draw_tasks as draw_regression


def small_leo(**settings):
    return LEO(LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4, **settings), 8, seed=1)


@pytest.fixture(scope="module")
def target(table):
    return ClassificationTarget(small_leo(), table, draw_tasks(table, 3, 2, 5, 20))


@pytest.fixture(scope="module")
def space(target):
    return measure_latent_space(target)


def test_codes_are_those_of_encoder_and_trace(target, space, table):
    assert space.codes.shape == (2, 60, 4)
    (support,) = target.supports()
    np.testing.assert_allclose(space.codes[0], target.learner.encode(support[0]).mean().numpy().reshape(60, 4))
    decoded = target.learner.decoder.mean(space.codes[1].reshape(20, 3, 4))
    np.testing.assert_allclose(decoded, target.learner.trace(*support).parameters[2], rtol=1e-4, atol=1e-6)
    assert space.labels["class"][7] == table.class_names[target.tasks.class_ids[2, 1]] and space.tasks[7] == 2


def test_projections_and_summary(space):
    shapes = {name: each.points.shape for name, each in space.projections.items()}
    assert shapes == {"PCA": (120, 2), "t-SNE": (120, 2)}
    joined = space.codes.reshape(-1, 4) - space.codes.reshape(-1, 4).mean(axis=0)
    variance = np.linalg.svd(joined, compute_uv=False) ** 2
    np.testing.assert_allclose(space.projections["PCA"].explained, variance[:2] / variance.sum(), rtol=1e-4)
    summary = space.summary()
    assert summary["codes"] == 60 and summary["num_tasks"] == 20
    assert set(summary["separation"]["class"]) == {"before", "after"}


@pytest.mark.long
def test_equal_seeds_give_equal_numbers(target, space):
    again = measure_latent_space(target)
    assert again.summary() == space.summary()


def test_figure_has_a_panel_for_stages_labels_and_highlight(space):
    figure = draw_projection(space, "t-SNE", "class3", "title")
    assert [axes.get_title() for axes in figure.axes] == ["before and after adaptation", "by class", "class3 alone"]


def test_projector_files_hold_codes_and_labels(space):
    files = projector_files(space)
    codes = np.loadtxt(files["codes.tsv"].splitlines(), delimiter="\t")
    np.testing.assert_allclose(codes, space.codes.reshape(-1, 4), rtol=1e-4, atol=1e-6)
    lines = files["labels.tsv"].splitlines()
    assert lines[0] == "stage\ttask\tclass" and len(lines) == 1 + 2 * 60
    assert lines[61] == f"after\t0\t{space.labels['class'][0]}"
    assert 'tensor_path: "codes.tsv"' in files["projector_config.pbtxt"]


@pytest.mark.parametrize("model", [MAML(MAMLConfig(), 8, 3), small_leo(codes_from="prior")], ids=repr)
def test_models_without_an_encoder_are_refused(table, model):
    with pytest.raises(InputError, match="has no encoder, and so no latent space"):
        measure_latent_space(ClassificationTarget(model, table, draw_tasks(table, 3, 1, 5, 10)))


def regression_target(rate=0.01):
    config = LEOConfig(
        inner_unroll_length=2, finetuning_unroll_length=0, num_latents=3, dropout_rate=0.0, inner_lr_init=rate
    )
    return RegressionTarget(RegressionLEO(config, seed=0), draw_regression(30), 5)


def test_regression_codes_have_values_of_their_functions():
    target = regression_target()
    found = measure_latent_space(target)
    assert found.codes.shape == (2, 30, 3) and set(found.explained) == {"amplitude", "slope"}
    assert len(draw_projection(found, "PCA").axes) == 4 + 2  # and two colour bars
    sinusoid = target.tasks.is_sinusoid
    np.testing.assert_array_equal(np.isnan(target.values["amplitude"]), ~sinusoid)
    task = int(np.flatnonzero(~sinusoid)[0])
    rise = np.polyfit(np.linspace(-4.95, 4.95, 100), target.tasks.truth[task], 1)[0]
    assert target.values["slope"][task] == pytest.approx(rise, rel=1e-5)
    wave = int(np.flatnonzero(sinusoid)[0])
    assert target.values["amplitude"][wave] == pytest.approx(np.abs(target.tasks.truth[wave]).max(), rel=0.01)


def test_a_model_that_diverges_is_refused():
    with pytest.raises(InputError, match="ends in NaN or infinity"):
        measure_latent_space(regression_target(1e30))
