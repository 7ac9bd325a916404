"""Learners of runs, whose dtype is the run's, and the files that a run keeps."""

import keras
import pytest

from leo_tf import LEOConfig, RunConfig
from leo_tf.config import MAMLConfig, ProtoLEOConfig, RegressionConfig
from leo_tf.runs.registry import problem_of
from leo_tf.runs.run_dir import RunDirectory

SMALL = RegressionConfig(network_units=3, encoder_units=3, relation_units=3, decoder_units=3)
RUNS = {
    "leo": RunConfig(LEOConfig(num_latents=2)),
    "proto_leo": RunConfig(LEOConfig(num_latents=2), algorithm="proto_leo", proto_leo=ProtoLEOConfig()),
    "metasgd": RunConfig(MAMLConfig(), algorithm="metasgd"),
    "regression leo": RunConfig(LEOConfig(num_latents=2, dropout_rate=0.0), problem="regression", regression=SMALL),
    "regression maml": RunConfig(
        MAMLConfig(dropout_rate=0.0), problem="regression", algorithm="maml", regression=SMALL
    ),
}


@pytest.mark.parametrize("config", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_a_run_is_float32_whatever_the_global_policy(config, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        learner = problem_of(config).build_learner({"embedding_dim": 3}, seed=0)
    finally:
        keras.config.set_dtype_policy(before)
    assert {variable.dtype for variable in learner.variables} == {learner.compute_dtype} == {"float32"}
    assert all(layer.dtype_policy.name == "float32" for layer in learner._flatten_layers())


def test_files_of_an_earlier_run_in_the_directory_are_replaced(tmp_path):
    folder, source = RunDirectory(tmp_path / "run"), tmp_path / "extractor.keras"
    for content in (b"old", b"new"):
        other = tmp_path / "other"
        other.write_bytes(content)
        other.replace(source)
        folder.attach({"extractor/extractor.keras": source})
        assert (folder.path / "extractor" / "extractor.keras").read_bytes() == content
