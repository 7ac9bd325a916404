"""The trainer in one process: replicas, moving checkpoints, what a run folder holds."""

import csv
import json
import math
import shutil
import threading
import types

import numpy as np
import pytest
import tensorflow as tf
from event_files import curves_of, events

import leo_tf
from leo_tf.classification.problem import Classification
from leo_tf.config import DataConfig, EpisodeConfig, LEOConfig, RunConfig, TrainingConfig
from leo_tf.errors import InputError
from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.problem import Validation
from leo_tf.runs.run_dir import RunDirectory
from leo_tf.training.events import Events, write_result


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(3)
    (path / "own").mkdir()
    for split, classes in {"train": 8, "val": 5, "test": 5}.items():
        means = generator.normal(size=(classes, 1, 12))
        rows = means + 0.7 * generator.normal(size=(classes, 10, 12))
        np.savez(
            path / "own" / f"{split}.npz",
            embeddings=rows.reshape(-1, 12).astype(np.float32),
            labels=np.repeat([f"{split}{c}" for c in range(classes)], 10),
        )
    return path


def trainer(data, path, steps, **training):
    settings = {"metatrain_batch_size": 4, "metavalid_tasks": 20, "checkpoint_steps": 4, "log_steps": 2, "jit": "off"}
    small = {"num_latents": 4, "inner_unroll_length": 1, "finetuning_unroll_length": 1, "dropout_rate": 0.2}
    shape = {"num_classes": 3, "num_tr_examples_per_class": 2, "num_val_examples_per_class": 3}
    shape |= training.pop("episodes", {})
    model, hook = {**small, **training.pop("model", {})}, training.pop("hook", None)
    config = RunConfig(
        LEOConfig(**model),
        DataConfig(data_path=str(data), dataset_name="own", cache_dir=str(data / "cache")),
        EpisodeConfig(**shape),
        TrainingConfig(num_steps_limit=steps, **{"outer_lr": 0.01, **settings, **training}),
    )
    return leo_tf.Trainer(leo_tf.MetaTraining(config), path, hook)


def train(*arguments, **training):
    run = trainer(*arguments, **training)
    run.run()
    return [variable.numpy() for variable in run.work.learner.meta_variables]


@pytest.fixture(scope="module")
def single(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("single")
    return path, train(data, path, 8)


@pytest.fixture(scope="module")
def halves(data, tmp_path_factory):
    """Folders of the first 4 of its steps, on one device and on two."""
    paths = {mode: tmp_path_factory.mktemp(mode) / "run" for mode in ("none", "mirrored")}
    for mode, path in paths.items():
        train(data, path, 4, distribution=mode)
    return paths


@pytest.fixture
def half(halves, tmp_path):
    """A copy of the one on one device, to continue."""
    shutil.copytree(halves["none"], tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.long
@pytest.mark.parametrize("then", [("mirrored", "none"), ("none", "mirrored"), ("mirrored", "mirrored")])
def test_a_checkpoint_moves_between_one_replica_and_two(data, single, halves, tmp_path, then):
    shutil.copytree(halves[then[0]], tmp_path / "run")
    moved = train(data, tmp_path / "run", 8, distribution=then[1])
    for ours, expected in zip(moved, single[1], strict=True):
        np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=2e-5)


def test_a_meta_batch_that_does_not_divide_is_an_error(data, tmp_path):
    with pytest.raises(InputError, match=r"metatrain_batch_size=3 cannot be split evenly over 2 replicas; .* e\.g\. 4"):
        trainer(data, tmp_path, 4, distribution="mirrored", metatrain_batch_size=3)


@pytest.mark.long
def test_training_without_fine_tuning_leaves_its_rate_alone(data, tmp_path):
    variables = train(data, tmp_path, 4, model={"finetuning_unroll_length": 0})
    np.testing.assert_array_equal(variables[-1], np.float32(0.001))
    assert np.abs(variables[-2] - 1.0).max() > 1e-4


@pytest.mark.long
def test_training_without_latent_steps_leaves_their_rate_alone(data, tmp_path):
    variables = train(data, tmp_path, 4, model={"inner_unroll_length": 0})
    np.testing.assert_array_equal(variables[-2], np.float32(1.0))
    assert np.abs(variables[-1] - 0.001).max() > 1e-4


@pytest.mark.long
def test_seeds_make_different_runs(data, single, tmp_path):
    other = train(data, tmp_path, 8, seed=1)
    assert all(np.abs(a - b).max() > 1e-5 for a, b in zip(other, single[1], strict=True))


def test_other_data_in_the_same_place_is_an_error(data, single, tmp_path):
    other = tmp_path / "data" / "own"
    other.mkdir(parents=True)
    for split in ("train", "val"):
        with np.load(data / "own" / f"{split}.npz") as arrays:
            np.savez(other / f"{split}.npz", embeddings=arrays["embeddings"] + 0.1, labels=arrays["labels"])
    with pytest.raises(InputError, match=r"holds a run with other settings .*train_digest"):
        trainer(tmp_path / "data", single[0], 8).run()


def test_metrics_file_has_every_term_and_every_validation(single):
    with open(single[0] / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows if row["loss"]] == [2, 4, 6, 8]
    assert [int(row["step"]) for row in rows if row["validation_accuracy"]] == [4, 8]
    for row in rows[:1]:
        assert float(row["query_loss"]) > 0 and float(row["kl"]) > 0 and float(row["gradient_norm"]) > 0


def test_tensorboard_has_one_chart_of_the_measure_and_the_rest_in_order(single):
    curves = "train", "validation", "nearest_class_mean", "best_validation"
    train, validation, nearest, best = (events(single[0] / name) for name in curves)
    assert {
        *("accuracy", "loss/total", "loss/query", "loss/kl", "loss/encoder_penalty", "loss/regularization"),
        *("rate/adam", "rate/latent_learning_rate", "rate/finetuning_learning_rate", "speed/steps_per_second"),
        *("variable/gradient_norm", "variable/gradient_norm/encoder/kernel"),
    } <= train.keys()
    groups = list(dict.fromkeys(tag.split("/")[0] for tag in sorted(train)))
    assert groups == ["accuracy", "loss", "rate", "speed", "variable"]
    assert [step for step, _ in train["loss/total"]] == [2, 4, 6, 8]
    for found in (train, validation, nearest, best):
        assert [step for step, _ in found["accuracy"]] == [4, 8]  # as many points each
    assert nearest.keys() == best.keys() == {"accuracy"}
    assert (
        len({found["accuracy"][0][1].metadata.summary_description for found in (train, validation, nearest, best)}) == 4
    )
    for tags in (train, validation, events(single[0])):
        for tag, values in tags.items():
            if not tag.startswith("_hparams_"):
                assert values[0][1].metadata.summary_description, tag
    assert {"loss/query", "weights/decoder/kernel", "weights/latent_learning_rate"} <= validation.keys()
    rate = [value for _, value in train["rate/adam"]]
    assert tf.make_ndarray(rate[0].tensor) == pytest.approx(0.01)


def test_tensorboard_has_figures_of_calibration_and_of_the_learned_rates(single):
    validation = events(single[0] / "validation")
    for name in ("reliability", "rate/latent_learning_rate", "rate/finetuning_learning_rate"):
        assert [step for step, _ in validation[name]] == [4, 8]
        assert validation[name][0][1].tensor.string_val[2].startswith(b"\x89PNG")


def test_tensorboard_has_the_configuration_and_the_table_of_hyperparameters(single):
    found = events(single[0])
    (_, text), *_ = found["configuration"]
    assert '"num_latents": 4' in text.tensor.string_val[0].decode()
    from tensorboard.plugins.hparams import plugin_data_pb2

    data = plugin_data_pb2.HParamsPluginData.FromString(
        found["_hparams_/session_start_info"][0][1].metadata.plugin_data.content
    )
    settings = {name.strip(): value for name, value in data.session_start_info.hparams.items()}
    assert settings["num_latents"].number_value == 4 and settings["dataset_name"].string_value == "own"
    assert len(settings) == len(data.session_start_info.hparams) == len(RunConfig().flat())


def hparams_context(folder):
    """TensorBoard's own view of the hyperparameters of the runs in a folder."""
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams.backend_context import Context

    multiplexer = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(folder))
    return Context(base_plugin.TBContext(data_provider=provider))


def test_each_of_a_hundred_runs_is_a_row_of_the_table_of_hyperparameters(tmp_path):
    """Also where the last parts of their paths are equal; they were one row, with the mean of their accuracies."""
    from tensorboard.context import RequestContext
    from tensorboard.plugins.hparams import api_pb2, list_session_groups

    measured = types.SimpleNamespace(measure="accuracy", other_measures=())
    work = types.SimpleNamespace(measured=measured, validate=None, config=RunConfig())
    for number in range(100):
        folder = RunDirectory(tmp_path / f"{number // 10}" / f"{number % 10}" / "run")
        folder.claim(work.config, {})
        Events(folder, work, 0).close()
    statuses = api_pb2.Status.values()
    request = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=1000, allowed_statuses=statuses)
    handler = list_session_groups.Handler(RequestContext(), hparams_context(tmp_path), "", request)
    rows = [(row.name, [session.name for session in row.sessions]) for row in handler.run().session_groups]
    names = [f"{number // 10}/{number % 10}/run" for number in range(100)]
    assert sorted(rows) == [(name, [name]) for name in names]


def table_of_hyperparameters(folder):
    """TensorBoard's own (settings, metrics) of the runs in a folder, in the order of its table."""
    from tensorboard.context import RequestContext

    context, request = hparams_context(folder), RequestContext()
    found = context.experiment_from_metadata(request, "", True, context.hparams_metadata(request, ""), [])
    metrics = [f"{info.name.group} {info.name.tag}" for info in found.metric_infos]
    return [info.name.strip() for info in found.hparam_infos], metrics


@pytest.mark.long
def test_the_table_of_hyperparameters_begins_with_what_matters(data, single, tmp_path):
    shutil.copytree(single[0], tmp_path / "one")
    first = ["num_classes", "num_tr_examples_per_class", "outer_lr", "dropout_rate", "kl_weight"]
    settings, metrics = table_of_hyperparameters(tmp_path)
    assert settings[:5] == first and settings[-2:] == ["metatest_batch_size", "metavalid_batch_size"]
    assert metrics[:4] == [
        f"{curve} accuracy" for curve in ("best_validation", "nearest_class_mean", "train", "validation")
    ]
    train(data, tmp_path / "two", 8, gradient_threshold=0.2)
    assert table_of_hyperparameters(tmp_path)[0][:6] == ["gradient_threshold", *first]


def test_training_is_in_the_chart_as_its_mean_since_the_last_validation(single):
    with open(single[0] / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = [float(row["accuracy"]) for row in csv.DictReader(file) if row["accuracy"]]
    expected = {4: pytest.approx(np.mean(rows[:2])), 8: pytest.approx(np.mean(rows[2:]))}
    assert curves_of(single[0], "accuracy")["train"] == expected


@pytest.mark.long
def test_every_curve_ends_within_the_range_that_tensorboard_chooses(data, tmp_path):
    """It leaves out the lowest and the highest twentieth of all points, however they are shared among curves."""
    trainer(data, tmp_path, 40, log_steps=1).run()
    write_result(RunDirectory(tmp_path), "test", "accuracy", 0.1, 20)
    write_result(RunDirectory(tmp_path), "test", "accuracy", 0.2, 20)
    curves = curves_of(tmp_path, "accuracy")
    assert curves.keys() == {"train", "validation", "nearest_class_mean", "best_validation", "test"}
    assert list(curves["test"].values()) == [pytest.approx(0.2)] * 10
    assert len(events(tmp_path / "test")["accuracy"]) == 10  # the last result only
    values = sorted(value for points in curves.values() for value in points.values())
    low, high = values[math.ceil(0.05 * (len(values) - 1))], values[math.floor(0.95 * (len(values) - 1))]
    for curve, points in curves.items():
        assert low <= points[max(points)] <= high, curve


def test_load_gives_the_best_checkpoint(data, single):
    model = leo_tf.load(single[0])
    run = trainer(data, single[0], 8)
    run.checkpoints.restore()
    _, best_step = run.checkpoints.best
    assert run.folder.best_checkpoint().name == f"ckpt-{best_step}"
    if best_step == 8:
        for variable, expected in zip(model.meta_variables, single[1], strict=True):
            np.testing.assert_array_equal(variable, expected)
    table = leo_tf.EmbeddingTable.load(data, "own", "val", cache_dir=data / "cache")
    assert leo_tf.evaluate(model, table, ways=3, shots=2, num_tasks=200).accuracy.mean > 0.5


def test_model_and_table_of_other_dims_are_an_error(single):
    table = leo_tf.EmbeddingTable.from_arrays(np.eye(6), [0, 0, 1, 1, 2, 2])
    with pytest.raises(InputError, match=r"has 6-dimensional embeddings; the model was made for 12"):
        leo_tf.evaluate(leo_tf.load(single[0]), table, ways=3)


def test_two_processes_do_not_train_in_one_directory(data, tmp_path):
    run = trainer(data, tmp_path, 4)
    with RunDirectory(tmp_path).locked(), pytest.raises(InputError, match="Another process is training"):
        run.run()
    assert not run.folder.config_file.exists()  # a refused start has changed nothing
    assert run.run() == 4


@pytest.mark.long
def test_training_outside_the_main_thread(data, single, half):
    found = []
    thread = threading.Thread(target=lambda: found.extend(train(data, half, 8)))
    thread.start()
    thread.join(120)
    for ours, expected in zip(found, single[1], strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.long
def test_a_hook_sees_every_validation_and_its_exception_ends_a_run_that_can_be_resumed(data, single, tmp_path):
    class Pruned(Exception):
        pass

    seen = []

    def hook(step, validation):
        seen.append((step, validation.interval.mean))
        if step == 4:
            raise Pruned

    run = trainer(data, tmp_path, 8, hook=hook)
    with pytest.raises(Pruned):
        run.run()
    again = trainer(data, tmp_path, 8, hook=hook)
    assert again.run() == 4
    assert [step for step, _ in seen] == [4, 8] and all(0 <= accuracy <= 1 for _, accuracy in seen)
    for variable, expected in zip(again.work.learner.meta_variables, single[1], strict=True):
        np.testing.assert_array_equal(variable, expected)


def test_a_run_of_nan_steps_only_is_an_error(data, tmp_path, monkeypatch):
    loss = leo_tf.LEO.meta_loss_on_features

    def nan_loss(self, episode, training, *arguments, **kwargs):
        outcome = loss(self, episode, training, *arguments, **kwargs)
        return outcome._replace(loss=outcome.loss * np.nan)

    monkeypatch.setattr(leo_tf.LEO, "meta_loss_on_features", nan_loss)
    with pytest.raises(InputError, match=r"NaN in all 4 steps; nothing was learned\. Train again with lower learning"):
        trainer(data, tmp_path, 4).run()


@pytest.mark.long
def test_a_resumed_run_says_that_every_validation_was_nan(data, single, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(single[0], run)
    longer = trainer(data, run, 12)
    find(longer, [math.nan])
    with pytest.raises(InputError, match=r"From step 8 to 12 every validation was NaN; the best checkpoint is an ear"):
        longer.run()
    assert longer.checkpoints.best[1] in (4, 8)


def test_a_classifier_of_nan_is_never_the_best(data, tmp_path):
    run = trainer(data, tmp_path, 4)
    run.work.learner.decoder.kernel.assign(np.full(run.work.learner.decoder.kernel.shape, np.nan))
    run.work.initialize()
    assert np.isnan(run.work.validate().interval.mean)


def test_a_corrupt_run_says_so(data, single, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(single[0], run)
    for checkpoint in (run / "best").glob("ckpt-*.data-*"):
        checkpoint.write_bytes(b"")
    with pytest.raises(InputError, match=r"best checkpoint .* is corrupt, and there is no other"):
        leo_tf.load(run)
    (run / "data.json").write_text("{")
    with pytest.raises(InputError, match=r"data\.json is corrupt"):
        RunDirectory(run).data()
    (run / "config.json").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        leo_tf.load(run)


def find(run, values=(0.5, 0.6, 0.55, 0.58, 0.7)):
    """Let the validations of a run find these accuracies, one after another."""
    found = iter(values)
    return validate_with(run, lambda: Validation(Interval(next(found), 0.01), {"loss": 1.0}))


def validate_with(run, validate):
    """Replace the validation that `initialize` makes."""
    initialize = run.work.initialize

    def initialize_and_replace(previous=None):
        found, run.work.validate = initialize(previous), validate
        return found

    run.work.initialize = initialize_and_replace
    return run


@pytest.mark.long
def test_the_initial_state_is_replaced_only_by_a_significant_gain(data, tmp_path):
    """By 0.03 on each of 20 tasks, give or take 0.1, which may be chance; then by 0.08; after that any gain counts."""
    noise = 0.1 * np.tile([1.0, -1.0], 10)
    accuracies = iter([np.full(20, 0.5), 0.53 + noise, 0.58 + noise, 0.55 + noise, 0.5801 + noise])

    def validate():
        scores = next(accuracies)
        return Validation(confidence_interval(scores), {"loss": 1.0}, scores=scores)

    def run_to(step):
        run = validate_with(trainer(data, tmp_path, step, metavalid_at_start=True), validate)
        run.run()
        return run.checkpoints.best[1]

    assert [run_to(step) for step in (4, 8, 12, 16)] == [0, 8, 8, 16]


def test_patience_ends_the_run_and_more_patience_resumes_it(data, tmp_path):
    run = find(trainer(data, tmp_path, 20, patience=2))
    assert run.run() == 16 and run.checkpoints.best == (0.6, 8) and run.is_out_of_patience
    assert trainer(data, tmp_path, 40, patience=2).run() == 0
    again = find(trainer(data, tmp_path, 20, patience=4), [0.7])
    assert again.run() == 4 and again.checkpoints.best == (0.7, 20)


@pytest.mark.long
def test_an_interrupted_run_is_as_patient(data, single, tmp_path):
    run = find(trainer(data, tmp_path, 10, patience=2))
    assert run.run() == 10  # ends between two validations
    again = find(trainer(data, tmp_path, 20, patience=2), [0.55, 0.58])
    assert again.run() == 6 and again.is_out_of_patience


@pytest.mark.long
def test_steps_between_rows_and_validations_may_change(data, single, half):
    run = trainer(data, half, 8, log_steps=1, checkpoint_steps=2)
    assert run.run() == 4
    for ours, expected in zip(run.work.learner.meta_variables, single[1], strict=True):
        np.testing.assert_array_equal(ours, expected)
    (line,) = (half / "changes.jsonl").read_text().splitlines()
    changed = json.loads(line)
    assert changed["step"] == 4
    assert changed["changed"].items() >= {"log_steps": [2, 1], "checkpoint_steps": [4, 2]}.items()
    with pytest.raises(InputError, match=r"checkpoint_steps: 2 != 4"):
        trainer(data, half, 8, log_steps=1, patience=3).run()


def test_without_validation_the_last_checkpoint_is_the_best(data, single, tmp_path):
    (tmp_path / "data" / "own").mkdir(parents=True)
    shutil.copy(data / "own" / "train.npz", tmp_path / "data" / "own")
    with pytest.raises(InputError, match=r"val.*not found.*Without validation classes: metavalid_tasks=0"):
        trainer(tmp_path / "data", tmp_path / "run", 8)
    run = trainer(tmp_path / "data", tmp_path / "run", 8, metavalid_tasks=0)
    assert run.run() == 8 and run.checkpoints.best[1] == 8
    for variable, expected in zip(leo_tf.load(tmp_path / "run").meta_variables, single[1], strict=True):
        np.testing.assert_array_equal(variable, expected)
    shutil.rmtree(tmp_path / "run" / "best")
    again = trainer(tmp_path / "data", tmp_path / "run", 8, metavalid_tasks=0)
    assert again.run() == 0 and again.checkpoints.best[1] == 8
    assert leo_tf.load(tmp_path / "run")


@pytest.mark.long
def test_validation_in_other_ways(data, tmp_path):
    run = trainer(data, tmp_path, 4, metavalid_ways=5)
    assert run.run() == 4
    with pytest.raises(InputError, match=r"val.* has 5 classes; 7-way validation tasks need 7. Give metavalid_ways=5"):
        trainer(data, tmp_path / "other", 4, metavalid_ways=7).run()


@pytest.mark.long
def test_training_in_more_ways(data, tmp_path):
    """Equals a run whose num_classes are metatrain_ways, validated in num_classes ways."""
    expected = train(data, tmp_path / "five", 4, episodes={"num_classes": 5}, metavalid_ways=3)
    found = train(data, tmp_path / "three", 4, episodes={"metatrain_ways": "5"})
    for variable, value in zip(found, expected, strict=True):
        np.testing.assert_array_equal(variable, value)
    files = [tmp_path / name / "metrics.csv" for name in ("three", "five")]
    rows = [list(csv.DictReader(file.read_text(encoding="utf-8").splitlines())) for file in files]
    assert [row["validation_accuracy"] for row in rows[0]] == [row["validation_accuracy"] for row in rows[1]]


@pytest.mark.parametrize(
    ("episodes", "algorithm", "expected"),
    [
        ({"metatrain_ways": "100"}, "leo", 8),  # all there are
        ({"metatrain_ways": "100", "tasks_within": "group", "num_classes": 2}, "leo", 3),  # no group is left out
        ({"metatrain_ways": "100", "tasks_within": "group", "num_classes": 4}, "leo", 5),
        ({"metatrain_ways": "6"}, "maml", 3),
    ],
)
def test_ways_of_meta_training_tasks(tmp_path, episodes, algorithm, expected):
    (tmp_path / "own").mkdir()
    labels = np.repeat([f"{group}/{number}" for group, size in (("a", 3), ("b", 5)) for number in range(size)], 4)
    embeddings = np.random.default_rng(0).normal(size=(32, 6))
    np.savez(tmp_path / "own" / "train.npz", embeddings=embeddings, labels=labels)
    problem = Classification(
        RunConfig(
            data=DataConfig(data_path=str(tmp_path), dataset_name="own", cache_dir=str(tmp_path)),
            episodes=EpisodeConfig(**{"num_classes": 3, "num_val_examples_per_class": 2, **episodes}),
            training=TrainingConfig(metavalid_tasks=0),
            algorithm=algorithm,
        )
    )
    (sampler,) = problem.make_samplers(problem.build_learner(problem.data_record))
    assert sampler.ways == expected


@pytest.mark.long
def test_below_nearest_class_mean_is_logged_once(data, tmp_path, caplog):
    caplog.set_level("INFO", "leo_tf")
    run = trainer(data, tmp_path, 8, outer_lr=1e-6, model={"finetuning_lr_init": 0.0, "inner_lr_init": 0.0})
    run.run()
    said = [record.message for record in caplog.records if "is below nearest class mean's" in record.message]
    assert len(said) == 1 and "There are few classes to learn from (8)" in said[0]
    with open(tmp_path / "metrics.csv", newline="", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    found = events(tmp_path / "nearest_class_mean")["accuracy"][-1][1]
    assert float(last["validation_accuracy"]) < tf.make_ndarray(found.tensor)
