"""Sections: types, bounds and choices are checked when they are built; a run's configuration goes to JSON and back."""

import json

import numpy as np
import pytest

import leo_tf
from leo_tf.config import (
    EpisodeConfig,
    LEOConfig,
    MAMLConfig,
    RegressionConfig,
    RunConfig,
    TrainingConfig,
    section_types,
)
from leo_tf.errors import InputError


@pytest.mark.parametrize(
    "section,field,value,expected",
    [
        (LEOConfig, "inner_unroll_length", 2.5, "a whole number"),
        (LEOConfig, "inner_unroll_length", True, "a whole number"),
        (LEOConfig, "stochastic", "false", "true or false"),
        (LEOConfig, "stochastic", 0, "true or false"),
        (LEOConfig, "kl_weight", "0.1", "a finite number"),
        (LEOConfig, "kl_weight", None, "a finite number"),
        (LEOConfig, "kl", "exact", "sampled or analytic"),
        (LEOConfig, "num_latents", 100_000_000, "a whole number from 1 to 4096"),
        (MAMLConfig, "maml_steps", -1, "a whole number"),
        (MAMLConfig, "maml_lr", 0.0, "a finite number above 0"),
        (EpisodeConfig, "num_classes", "5", "a whole number"),
        (TrainingConfig, "metatrain_batch_size", 2**63, "a whole number from 1 to"),
        (TrainingConfig, "num_steps_limit", 1e3, "a whole number"),
        (RegressionConfig, "biases", 1, "true or false"),
        (RegressionConfig, "noise_stddev", float("inf"), "a finite number"),
    ],
)
def test_values_of_another_type_or_size_are_refused(section, field, value, expected):
    with pytest.raises(InputError, match=rf"{field}={value!r} was given; expected {expected}"):
        section(**{field: value})


def test_numbers_become_the_fields_type():
    config = LEOConfig(kl_weight=1, num_latents=np.int64(8))
    assert type(config.kl_weight) is float and type(config.num_latents) is int
    assert RunConfig.from_json(RunConfig(config).to_json()).model == config


def test_json_names_the_version_that_wrote_it():
    values = json.loads(RunConfig().to_json())
    assert values["leo_tf"] == leo_tf.__version__
    values["model"]["colour"] = 1
    values["leo_tf"] = "0.0.9"
    with pytest.raises(InputError, match=r"written by leo_tf 0\.0\.9, does not fit this version .*colour"):
        RunConfig.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", "null", '{"model": 3}', '{"algorithm": "unknown"}', "{"])
def test_json_that_is_no_configuration_is_refused(text):
    with pytest.raises(InputError, match="The run's configuration"):
        RunConfig.from_json(text)


@pytest.mark.parametrize("algorithm", ["leo", "maml", "metasgd"])
def test_the_model_section_is_the_algorithms(algorithm):
    config = RunConfig(algorithm=algorithm)
    assert type(config.model) is section_types(algorithm)["model"]
    assert RunConfig.from_json(config.to_json()) == config
    other = MAMLConfig() if algorithm == "leo" else LEOConfig()
    with pytest.raises(InputError, match=f"RunConfig got {type(other).__name__} for model"):
        RunConfig(other, algorithm=algorithm)


def test_other_problems_and_algorithms_differ_by_name():
    assert RunConfig().differences(RunConfig(algorithm="maml")) == ["algorithm: 'leo' != 'maml'"]
    regression = RunConfig(LEOConfig(dropout_rate=0.0), problem="regression")
    assert RunConfig().differences(regression) == ["problem: 'classification' != 'regression'"]
    maml, longer = (RunConfig(MAMLConfig(steps), algorithm="maml") for steps in (10, 3))
    assert maml.differences(longer) == ["model.maml_steps: 10 != 3"]
    with pytest.raises(InputError, match=r"problem='clustering' was given; expected classification or regression"):
        RunConfig(problem="clustering")


def test_tasks_of_regression_have_no_classes():
    episodes = EpisodeConfig(metatrain_ways="5")
    with pytest.raises(InputError, match=r"metatrain_ways='5' was given; expected none with problem=regression"):
        RunConfig(LEOConfig(dropout_rate=0.0), episodes=episodes, problem="regression")
