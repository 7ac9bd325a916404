"""The ablations of the paper's table 2: LEO less one thing each, with exactly the terms of the loss that are left."""

import dataclasses
import json
import operator
from pathlib import Path

import keras
import numpy as np
import oracle
import pytest
import tensorflow as tf
from absl import flags

import leo_tf
from leo_tf import LEO, LEOConfig, randomness
from leo_tf.classification.learner import Noise
from leo_tf.commands.flags import define_run_flags, run_config
from leo_tf.config import RunConfig
from leo_tf.layers import distributions

BASE = LEOConfig(
    inner_unroll_length=3,
    finetuning_unroll_length=2,
    num_latents=4,
    dropout_rate=0.3,
    kl_weight=0.7,
    encoder_penalty_weight=0.5,
    l2_penalty_weight=0.01,
    orthogonality_penalty_weight=0.3,
)
KEEP = round(0.7 * 256) / 256
WAYS, SHOTS, DIM = 3, 2, 8
CONFIGS = Path(__file__).parents[2] / "configs"


def make_model(seed=5, **changes):
    """A model far from its initial state."""
    rng = np.random.default_rng(seed)
    model = LEO(dataclasses.replace(BASE, **changes), DIM, dtype="float64")
    model.decoder.kernel.assign(rng.normal(size=(4, 2 * DIM)) * 0.3)
    model.latent_learning_rate.assign(rng.uniform(0.05, 0.5, 4))
    model.finetuning_learning_rate.assign(rng.uniform(0.05, 0.6, DIM))
    for matrix in model.regularized_weights[:-1]:
        matrix.assign(rng.normal(size=matrix.shape) / np.sqrt(matrix.shape[0] / 2))
    return model


def drawn(model, episode, seed=3):
    return model.noise_from_bits(episode, model.draw_bits(episode, seed))


def oracle_terms(model, episode, given):
    """The oracle's terms, stacked over tasks; `given` has one code for each support example, or is None."""
    weights, parts = [v.numpy() for v in model.meta_variables], [np.asarray(part) for part in episode]
    steps = (model.config.inner_unroll_length, model.config.finetuning_unroll_length)
    tasks = [
        oracle.task_terms(
            weights,
            *(part[t] for part in parts),
            None if given is None else Noise(*(np.asarray(f[t]) if f is not None else None for f in given)),
            steps,
            KEEP,
        )
        for t in range(len(parts[0]))
    ]
    return {name: np.stack([task[name] for task in tasks]) for name in tasks[0]}


def assert_terms(model, outcome, terms, kl=True, penalty=True):
    expected = {
        "query_loss": terms["query_loss"],
        "kl": terms["kl"] * kl,
        "encoder_penalty": terms["encoder_penalty"] * penalty,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(outcome, name), value, rtol=1e-9, atol=1e-12, err_msg=name)
    l2 = oracle.half_l2([m.numpy() for m in model.regularized_weights])
    regularization = 0.01 * l2 + 0.3 * oracle.orthogonality(model.decoder.kernel.numpy())
    np.testing.assert_allclose(outcome.regularization, regularization, rtol=1e-9)
    total = expected["query_loss"] + 0.7 * expected["kl"] + 0.5 * expected["encoder_penalty"]
    np.testing.assert_allclose(outcome.loss, total.mean() + regularization, rtol=1e-9)


@pytest.mark.parametrize("steps", [(0, 0), (0, 2), (3, 0)], ids=["generator", "generator+ft", "no fine-tuning"])
def test_fewer_steps(make_episode, steps):
    model = make_model(inner_unroll_length=steps[0], finetuning_unroll_length=steps[1])
    episode = make_episode(shots=SHOTS)
    given = drawn(model, episode)
    terms = oracle_terms(model, episode, given)
    assert_terms(model, model.meta_loss(episode, True, noise=given), terms)
    assert np.all(terms["kl"] != 0) and np.all((terms["encoder_penalty"] == 0) == (steps[0] == 0))
    exact = oracle_terms(model, episode, None)["weights"][:, :, 0]
    np.testing.assert_allclose(model.adapt(episode.support_x, episode.support_y), exact, rtol=1e-9)


def test_generator_only_adapts_to_nothing(make_episode):
    """The classifier is the decoded code: what the rates are does not matter."""
    model, episode = make_model(inner_unroll_length=0, finetuning_unroll_length=0), make_episode()
    with tf.GradientTape() as tape:
        loss = model.meta_loss(episode, True, seed=0).loss
    values = tape.gradient(loss, [v.value for v in model.meta_variables])
    assert values[-2:] == [None, None] and all(np.abs(value).max() > 1e-6 for value in values[:-2])


def test_deterministic_is_the_oracle_with_noise_of_zero(make_episode):
    """Means of codes and weights; dropout and the encoder penalty stay, the KL goes."""
    model, episode = make_model(stochastic=False), make_episode(shots=SHOTS)
    given = drawn(model, episode)
    assert given.latents is None and given.weights is None
    zeros = given._replace(latents=np.zeros((2, WAYS, SHOTS, 4)), weights=np.zeros((2, 4, WAYS, SHOTS, DIM)))
    terms = oracle_terms(model, episode, zeros)
    assert_terms(model, model.meta_loss(episode, True, noise=given), terms, kl=False)
    assert np.all(terms["encoder_penalty"] > 0) and np.all(terms["kl"] != 0)


def test_deterministic_without_dropout_trains_on_what_evaluation_computes(make_episode):
    model, episode = make_model(stochastic=False, dropout_rate=0.0), make_episode(shots=SHOTS)
    trained, evaluated = (model.meta_loss(episode, training, seed=0) for training in (True, False))
    np.testing.assert_allclose(trained.query_loss, evaluated.query_loss, rtol=1e-9)
    assert np.all(trained.encoder_penalty > 0)


def test_random_prior_never_encodes(make_episode, monkeypatch):
    """The oracle, its codes replaced by the noise; neither KL nor encoder penalty."""
    model, episode = make_model(codes_from="prior"), make_episode(shots=SHOTS)
    assert model.encoder is None
    assert [tuple(v.shape) for v in model.meta_variables] == [(4, 2 * DIM), (4,), (DIM,)]
    given = drawn(model, episode)
    full, split = make_model(), oracle.split
    full.decoder.kernel.assign(model.decoder.kernel)
    for ours, theirs in zip(model.learning_rates, full.learning_rates, strict=True):
        theirs.assign(ours)

    def prior_for_codes(raw, offset):  # only the encoder's outputs have offset 0
        mean, stddev = split(raw, offset)
        return (mean, stddev) if offset else (np.zeros_like(mean), np.ones_like(stddev))

    monkeypatch.setattr(oracle, "split", prior_for_codes)
    terms = oracle_terms(full, episode, given)
    np.testing.assert_allclose(terms["initial"], given.latents)
    assert_terms(model, model.meta_loss(episode, True, noise=given), terms, kl=False, penalty=False)


@pytest.mark.parametrize("changes", [{}, {"codes_per_class": "class"}], ids=["example", "class"])
def test_random_prior_evaluates_from_one_fixed_draw_a_class(make_episode, changes):
    """The training pass from those codes without other noise gives the same classifier."""
    model, episode = make_model(codes_from="prior", dropout_rate=0.0, **changes), make_episode(shots=3)
    classifier = model.adapt(episode.support_x, episode.support_y)
    bits = randomness.bits(randomness.stream_seed(0, randomness.PRIOR_CODES), 0, 3, 4, tf.uint16)
    codes = randomness.normal(bits, tf.float64)
    copies = 1 if changes else 3
    latents = np.repeat(codes[None, :, None] / np.sqrt(copies), 2, axis=0).repeat(copies, axis=2)
    given = Noise(tf.constant(latents), tf.zeros((2, 4, 3, copies, DIM), tf.float64), None, None)
    trained = model.adapt_in_training(episode.support_x, episode.support_y, given).parameters
    np.testing.assert_allclose(trained, classifier, rtol=1e-9, atol=1e-12)
    # The same codes whatever the task, the number of ways or the shapes known when traced.
    shape = [None, None, None]
    signature = [tf.TensorSpec([*shape, DIM], tf.float64), tf.TensorSpec(shape, tf.int32)]
    traced = tf.function(model.adapt, input_signature=signature)
    np.testing.assert_allclose(traced(episode.support_x, episode.support_y), classifier, rtol=1e-9)
    unadapted = make_model(codes_from="prior", inner_unroll_length=1, finetuning_unroll_length=0, **changes)
    unadapted.latent_learning_rate.assign(np.zeros(4))
    two, three = (unadapted.adapt(episode.support_x[:, :n], episode.support_y[:, :n]) for n in (2, 3))
    np.testing.assert_allclose(two, three[:, :2], rtol=1e-9)
    np.testing.assert_allclose(three[0], three[1], rtol=1e-9)
    assert np.abs(three[0, 0] - three[0, 1]).max() > 0.01


def test_one_code_a_class(make_episode):
    """One sample a class, which follows the whole gradient where each of K copies follows 1/K of it."""
    model, episode = make_model(codes_per_class="class"), make_episode(shots=SHOTS)
    given = drawn(model, episode)
    assert given.latents.shape == (2, WAYS, 1, 4) and given.weights.shape == (2, 4, WAYS, 1, DIM)
    # K equal copies of one sample at K times the rate.
    copied = given._replace(latents=np.repeat(given.latents, SHOTS, 2), weights=np.repeat(given.weights, SHOTS, 3))
    expected = make_model()
    expected.latent_learning_rate.assign(SHOTS * expected.latent_learning_rate.numpy())
    expected.finetuning_learning_rate.assign(SHOTS * expected.finetuning_learning_rate.numpy())
    assert_terms(model, model.meta_loss(episode, True, noise=given), oracle_terms(expected, episode, copied))
    np.testing.assert_allclose(
        model.adapt(episode.support_x, episode.support_y),
        oracle_terms(expected, episode, None)["weights"][:, :, 0],
        rtol=1e-9,
    )


def test_with_one_shot_both_counts_of_codes_are_one(make_episode):
    episode = make_episode(shots=1)
    losses = [make_model(codes_per_class=each).meta_loss(episode, True, seed=4).loss for each in ("example", "class")]
    assert float(losses[0]) == float(losses[1])


def test_the_prior_is_what_the_kl_is_to(make_episode):
    """Why a random prior has no KL term: at mean 0 and stddev 1 it is zero, sample by sample."""
    draws = tf.constant(np.random.default_rng(0).normal(size=(5, 4)))
    draws = draws[..., tf.newaxis]
    prior = distributions.gaussian(tf.zeros_like(draws), tf.ones_like(draws))
    np.testing.assert_allclose(distributions.sampled_kl(prior, draws), np.zeros((5, 4)), atol=1e-12)


def parsed(*flagfiles):
    values = flags.FlagValues()
    define_run_flags(values)
    flags.DEFINE_string("checkpoint_path", "", "", flag_values=values)
    assert values(["train.py", *(f"--flagfile={path}" for path in flagfiles)])[1:] == []
    return run_config(values)


CHANGES = {
    "code_per_class": {"model.codes_per_class": "class"},
    "deterministic": {"model.stochastic": False},
    "first_order": {"model.first_order": True},
    "generator_finetuning": {"model.inner_unroll_length": 0},
    "generator_only": {"model.inner_unroll_length": 0, "model.finetuning_unroll_length": 0},
    "maml": {"algorithm": "maml"},
    "metasgd": {"algorithm": "metasgd"},
    "no_finetuning": {"model.finetuning_unroll_length": 0},
    "random_prior": {"model.codes_from": "prior"},
}


def test_every_flagfile_of_an_ablation_is_tested():
    assert sorted(path.stem for path in (CONFIGS / "ablations").glob("*.cfg")) == sorted(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_a_flagfile_changes_what_it_names_and_nothing_else(name):
    base = parsed(CONFIGS / "mini_1shot.cfg")
    ablation = parsed(CONFIGS / "mini_1shot.cfg", CONFIGS / "ablations" / f"{name}.cfg")
    expected = [f"{key}: {operator.attrgetter(key)(base)!r} != {value!r}" for key, value in CHANGES[name].items()]
    assert base.differences(ablation) == expected


def test_runs_from_before_the_ablations_load():
    """A config.json without the new fields is LEO as it was."""
    sections = json.loads(RunConfig().to_json())
    for field in ("stochastic", "codes_from", "codes_per_class", "first_order"):
        del sections["model"][field]
    del sections["leo_tf"], sections["algorithm"]
    assert RunConfig.from_json(json.dumps(sections)) == RunConfig()


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"codes_from": "posterior"}, r"codes_from='posterior' was given; expected encoder or prior"),
        ({"codes_per_class": "2"}, r"codes_per_class='2' was given; expected example or class"),
        (
            {"codes_from": "prior", "stochastic": False},
            r"stochastic=False was given; expected true with codes_from",
        ),
        ({"inner_unroll_length": -1}, r"inner_unroll_length=-1 was given; expected a whole number from 0 to 1000"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(leo_tf.InputError, match=message):
        LEOConfig(**changes)


@pytest.mark.parametrize("changes", [{"stochastic": False}, {"codes_from": "prior"}, {"codes_per_class": "class"}])
def test_saved_and_loaded(make_episode, tmp_path, changes):
    model, episode = LEO(dataclasses.replace(BASE, **changes), DIM, seed=1), make_episode(dtype="float32")
    model.save(tmp_path / "ablation.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "ablation.keras")(episode), model(episode))


def test_compiled_with_xla(make_episode):
    """Noise with fields left out crosses into compiled code."""
    changes = {"inner_unroll_length": 1, "finetuning_unroll_length": 1, "stochastic": False}
    model, episode = LEO(dataclasses.replace(BASE, **changes), DIM, seed=1), make_episode(dtype="float32")
    bits = model.draw_bits(episode, 0)

    def loss(bits):
        return model.meta_loss(episode, True, noise=model.noise_from_bits(episode, bits)).loss

    np.testing.assert_allclose(tf.function(loss, jit_compile=True)(bits), loss(bits), rtol=1e-4)
