"""User errors: one message and exit status 2, from both commands."""

import pickle

import numpy as np
import pytest
from command_lines import ROOT, assert_refused, command

from leo_tf.config import DataConfig, EpisodeConfig, LEOConfig, RunConfig, TrainingConfig
from leo_tf.errors import InputError

CONFIGS = sorted((ROOT / "configs").glob("*.cfg"))


def test_unknown_flag():
    assert_refused(command("train.py", "--inner_unrol_length=3"), "inner_unrol_length", "Did you mean")


def test_a_positional_argument_in_a_flagfile_is_refused(tmp_path):
    flagfile = tmp_path / "bad.cfg"
    flagfile.write_text("# a comment\n--num_latents=8\nouter_lr=0.1\n")
    assert_refused(command("train.py", f"--flagfile={flagfile}"), "'outer_lr=0.1'", "starting with --")


def test_missing_flagfile():
    done = command("train.py", "--flagfile=configs/none.cfg")
    assert_refused(done, "Error: Unable to open flagfile: ", "none.cfg")
    assert "ERROR" not in done.stderr


def test_negative_inner_steps():
    done = command("train.py", "--inner_unroll_length=-1")
    assert_refused(done, "Error: inner_unroll_length=-1", "from 0 to 1000.\nFlags: --inner_unroll_length")


def test_missing_data_names_the_path_and_the_alternatives(tmp_path):
    done = command(
        "train.py",
        f"--flagfile={ROOT / 'configs' / 'mini_1shot.cfg'}",
        f"--data_path={tmp_path}",
        "--download=false",
        f"--checkpoint_path={tmp_path / 'run'}",
    )
    expected = tmp_path / "miniImageNet" / "center" / "train_embeddings.pkl"
    assert_refused(done, str(expected), "leo-embeddings/embeddings.zip", "make quickstart")
    assert not (tmp_path / "run").exists()


def test_evaluating_a_missing_run(tmp_path):
    assert_refused(command("evaluate.py", f"--checkpoint_path={tmp_path}"), "No run in", "train.py")


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        (LEOConfig, "inner_lr_init", -1.0),
        (LEOConfig, "finetuning_lr_init", float("nan")),
        (LEOConfig, "dropout_rate", 1.0),
        (LEOConfig, "finetuning_unroll_length", -1),
        (LEOConfig, "kl_weight", -0.1),
        (EpisodeConfig, "num_classes", 1),
        (EpisodeConfig, "num_tr_examples_per_class", 0),
        (TrainingConfig, "outer_lr", 0.0),
        (TrainingConfig, "metatrain_batch_size", 0),
        (TrainingConfig, "metavalid_tasks", 1),
        (TrainingConfig, "seed", -1),
        (TrainingConfig, "distribution", "tpu"),
        (DataConfig, "embedding_crop", "corner"),
        (DataConfig, "dataset_name", ""),
    ],
)
def test_values_out_of_bounds_are_refused_by_name(section, field, value):
    with pytest.raises(InputError, match=rf"{field}={value!r} was given; expected \S+"):
        section(**{field: value})


def test_configuration_json_round_trip():
    config = RunConfig(
        LEOConfig(kl_weight=0.756143), DataConfig(train_on_val=True), training=TrainingConfig(seed=2**40)
    )
    assert RunConfig.from_json(config.to_json()) == config
    with pytest.raises(InputError, match=r"is not JSON"):
        RunConfig.from_json("{")
    with pytest.raises(InputError, match=r"unexpected keyword argument 'colour'"):
        RunConfig.from_json('{"model": {"colour": 1}}')


def test_only_settings_that_change_the_run_count_as_differences():
    config = RunConfig()
    moved = RunConfig(data=DataConfig(data_path="/elsewhere"), training=TrainingConfig(num_steps_limit=5))
    assert config.differences(moved) == []
    assert config.differences(RunConfig(LEOConfig(num_latents=8))) == ["model.num_latents: 64 != 8"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_flagfile_is_a_configuration(path):
    from absl import flags

    from leo_tf.commands.flags import define_run_flags, run_config

    values = flags.FlagValues()
    define_run_flags(values)
    flags.DEFINE_string("checkpoint_path", "", "", flag_values=values)
    assert values(["train.py", f"--flagfile={path}"])[1:] == []
    config = run_config(values)
    # proto_leo.cfg is given after the flagfile of a data set.
    assert values["checkpoint_path"].value == ("" if path.stem == "proto_leo" else f"runs/{path.stem}")
    assert config.data.train_on_val == path.stem.endswith("trainval")
    if "shot" in path.stem:
        assert config.episodes.num_tr_examples_per_class == int(path.stem.split("_")[1][0])
        assert config.data.dataset_name == {"mini": "miniImageNet", "tiered": "tieredImageNet"}[path.stem.split("_")[0]]


class TestTrainerRefuses:
    """Errors of the data reach the user through the trainer before a run folder is made."""

    @pytest.fixture
    def trainer(self, tmp_path):
        from leo_tf.training import MetaTraining, Trainer

        def make(train, validation=None, run="run", **episodes):
            folder = tmp_path / "data" / "own"
            folder.mkdir(parents=True, exist_ok=True)
            for split, (embeddings, labels) in {"train": train, "val": validation or train}.items():
                np.savez(folder / f"{split}.npz", embeddings=embeddings, labels=labels)
            config = RunConfig(
                data=DataConfig(
                    data_path=str(tmp_path / "data"), dataset_name="own", cache_dir=str(tmp_path / "cache")
                ),
                episodes=EpisodeConfig(num_val_examples_per_class=2, **episodes),
            )
            work = MetaTraining(config)
            work.initialize()
            return Trainer(work, tmp_path / run)

        return make

    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    labels = np.repeat(np.arange(5), 4)

    def test_mismatched_lengths(self, trainer, tmp_path):
        with pytest.raises(InputError, match=r"20.*19|19.*20"):
            trainer((self.rows, self.labels[:-1]))
        assert not (tmp_path / "run").exists()

    def test_nan_embeddings(self, trainer):
        rows = self.rows.copy()
        rows[7, 1] = np.nan
        with pytest.raises(InputError, match=r"(?i)(nan|finite).*7|7.*(?i:nan|finite)"):
            trainer((rows, self.labels))

    def test_class_with_too_few_examples(self, trainer):
        with pytest.raises(InputError, match=r"Class '4' of .* has 2 examples; 1 shots and 2 queries need 3"):
            trainer((self.rows[:18], self.labels[:18]))

    def test_more_ways_than_classes(self, trainer):
        with pytest.raises(InputError, match=r"has 5 classes; 6-way validation tasks need 6"):
            trainer((self.rows, self.labels), num_classes=6)

    def test_splits_of_different_dims(self, trainer):
        with pytest.raises(InputError, match=r"dim 4, .* 3; expected equal"):
            trainer((self.rows, self.labels), (self.rows[:, :3], self.labels))

    def test_unwritable_run_directory(self, trainer, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(InputError, match=r"Cannot write the run directory .*file/run"):
            trainer((self.rows, self.labels), run="file/run").run()

    def test_malicious_pickle(self, tmp_path):
        from leo_tf.data import EmbeddingTable

        class Malicious:
            def __reduce__(self):
                return print, ("run",)

        folder = tmp_path / "own" / "center"
        folder.mkdir(parents=True)
        (folder / "train_embeddings.pkl").write_bytes(pickle.dumps({"embeddings": Malicious()}))
        with pytest.raises(InputError, match=r"builtins.*print|print"):
            EmbeddingTable.load(tmp_path, "own", "train", cache_dir=tmp_path / "cache")
