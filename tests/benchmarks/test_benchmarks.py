"""Smoke tests of the benchmark scripts: they run, at small sizes, and their numbers are consistent."""

import argparse

import cases
import extraction
import measuring
import numpy as np
import pytest
import serving
import speed

from leo_tf import EpisodeSampler
from leo_tf.classification import Evaluator
from leo_tf.features.settings import NetworkConfig

pytestmark = pytest.mark.long

SETTING = cases.Setting(
    train_classes=3, test_classes=3, rows=8, ways=2, shots=1, queries=2, meta_batch=2, latent_steps=1
)


@pytest.fixture(autouse=True)
def small_model(monkeypatch):
    """The benchmarks with a model that is traced quickly."""
    monkeypatch.setattr(cases, "MODEL", {**cases.MODEL, "num_latents": 4, "finetuning_unroll_length": 1})


def test_ratio_is_the_median_over_rounds():
    assert measuring.ratio([10, 40, 90], [1, 2, 3]) == 20
    assert measuring.summarize([3, 1, 2]) == (2, 1, 3)


def test_a_unit_of_evaluation_is_a_batch_of_tasks_drawn_beforehand(monkeypatch):
    table, scored = cases.synthetic_table(SETTING.test_classes, SETTING.rows), []
    run_on = Evaluator.run_on
    monkeypatch.setattr(Evaluator, "run_on", lambda self, tasks: scored.append(tasks) or run_on(self, tasks))
    case = cases.evaluation(SETTING, table, batch_size=2)
    monkeypatch.setattr(EpisodeSampler, "rows", None)  # nothing is drawn any more
    case.run(3)
    assert [len(tasks) for tasks in scored] == [2] * (1 + 3)  # the first unit, then three
    assert scored[0].queries == SETTING.rows - SETTING.shots


def test_naive_training_updates_the_model(monkeypatch):
    models, make_model = [], cases.make_model
    monkeypatch.setattr(cases, "make_model", lambda setting: models.append(make_model(setting)) or models[-1])
    table = cases.synthetic_table(SETTING.train_classes, SETTING.rows)
    untrained = [variable.numpy() for variable in make_model(SETTING).meta_variables]
    cases.naive_training(SETTING, table)  # takes its first step
    trained = [variable.numpy() for variable in models[0].meta_variables]
    assert all(np.any(before != after) for before, after in zip(untrained, trained, strict=True))


def test_scaling_plot_shows_every_measurement(tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "training", lambda setting, table, jit: measuring.Case(None, 0.0))
    monkeypatch.setattr(speed, "time_in_turns", lambda timed, *_: {name: [float(name)] for name in timed})
    measured = speed.plot_scaling(tmp_path / "scaling.png", rounds=1, steps=1)
    assert measured["ways"] == {2: 2.0, 5: 5.0, 10: 10.0, 20: 20.0}
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_speed_times_a_setting(monkeypatch, capsys):
    monkeypatch.setitem(cases.SETTINGS, "small", SETTING)
    monkeypatch.setattr(speed, "_TASKS", 4)
    monkeypatch.setattr(speed, "_NAIVE_TASKS", 2)
    found = speed.measure("small", argparse.Namespace(steps=2, rounds=1, data_path=None))
    naive = found["evaluation, 2 tasks, naive"]["median"] / found["evaluation, 4 tasks"]["median"]
    assert found["evaluation_ratio"] == pytest.approx(2 * naive)
    assert "small: 2-way 1-shot, meta-batch 2" in capsys.readouterr().out


def test_serving_times_every_request(monkeypatch):
    monkeypatch.setattr(serving, "REQUESTS", {"one task": serving.Request(1), "3 tasks": serving.Request(3)})
    result = serving.measure(rounds=1, answers=1)
    assert set(result) == {"load_seconds", "one task", "3 tasks", "one task, adapt", "one task, predict"}
    times = result["3 tasks"]
    assert times["tasks_per_second"] == pytest.approx(3000 / times["median"])
    assert times["low"] <= times["median"] <= times["high"]


def test_serving_prints_what_the_load_generator_found(capsys):
    found = serving.measure_load(1)
    assert found["wrong"] == {} and found["milliseconds"].keys() == {"in process"}
    assert f"{found['answered']} answered" in capsys.readouterr().out


def test_extraction_embeds_every_image_and_records_memory(monkeypatch):
    monkeypatch.setattr(extraction, "_ROUNDS", 1)
    monkeypatch.setattr(extraction, "_IMAGES_PER_ROUND", 32)
    runs, run = [], extraction.Extraction.run

    def recorded(self, *arguments):
        runs.append(run(self, *arguments))
        return runs[-1]

    monkeypatch.setattr(extraction.Extraction, "run", recorded)
    found = extraction.measure(70, NetworkConfig(depth=10, width=1), 16)
    assert len(runs) == 1 and len(runs[0].source) == 70 and found["extracted"] == runs[0].images_per_second
    assert found["network"] == "WRN-10-1, 16 pixels" and found["kilobytes"] == pytest.approx(47, abs=20)
    for name in ("inspected", "extracted", "network_alone", "reading_alone"):
        assert found[name] > 0
    assert len(found["megabytes"]) == 10
    assert np.isnan(found["peak_megabytes"]) or found["peak_megabytes"] >= max(found["megabytes"]) > 0
