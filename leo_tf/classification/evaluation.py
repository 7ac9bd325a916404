"""Evaluate a classification learner on fixed tasks, beside baselines on the same ones."""

import dataclasses
import functools
import logging
import time
from pathlib import Path
from types import MappingProxyType

import numpy as np

from leo_tf import randomness
from leo_tf.classification.analysis_target import ClassificationTarget
from leo_tf.classification.baselines import Scoring, TrainingClasses, planned, requested, title_of
from leo_tf.classification.baselines.model_selection import VALIDATION_TASKS
from leo_tf.classification.calibration import calibrate, temperature_of
from leo_tf.classification.diagnostics import Circumstances, below_baselines
from leo_tf.classification.evaluator import Evaluator, adapted_by, require_fits, sampler_of
from leo_tf.classification.results import EvaluationResult
from leo_tf.classification.tasks import Tasks, draw_from
from leo_tf.data import EmbeddingTable
from leo_tf.data.episodes import EpisodeSampler
from leo_tf.data.extractor_metadata import find_card_folder, read_card, what_the_extractor_saw
from leo_tf.evaluation.fingerprint import fingerprint
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.problem import Evaluation, Extras

_logger = logging.getLogger("leo_tf")
_NUM_TASKS, _CALIBRATION_TASKS = 10_000, 1000


def evaluate(model, table, ways=5, shots=1, queries=None, num_tasks=10_000, batch_size=200, seed=0, within="all"):
    """Evaluate a model on seeded tasks of a table.

    Args:
      model: LEO, or another classification.ClassificationLearner.
      table: EmbeddingTable of the model's embedding_dim.
      ways, shots: shape of a task; for LEO any, whatever it was trained with.
      queries: query examples of a class; None takes all that remain (of the smallest class).
      num_tasks: number of tasks, at least 2. The same seed gives the same tasks to every model.
      batch_size: tasks at once; changes speed and memory only.
      seed: int.
      within: "all", or "group" for tasks of classes of one group, as characters of one alphabet.

    Returns:
      EvaluationResult.

    Raises:
      InputError: the table does not fit the model or the tasks.

    Example:
      >>> table = leo_tf.EmbeddingTable.load("", "glyphs", "test")
      >>> result = leo_tf.evaluate(leo_tf.LEO(embedding_dim=table.dim, seed=0), table, ways=2, shots=3, num_tasks=10)
      >>> result.queries, result.accuracy.mean > 0.5
      (37, True)
    """
    require_fits(model, table)
    sampler = EpisodeSampler(table, ways, shots, queries, within)
    return _evaluate(model, table, draw_from(sampler, table.digest, num_tasks, seed), batch_size)


def evaluate_tasks(model, table, tasks, batch_size=200):
    """Evaluate a model on given tasks.

    Args:
      model: LEO.
      table: EmbeddingTable that the tasks are of.
      tasks: Tasks, from `draw_tasks` or `Tasks.load`.
      batch_size: tasks at once; changes speed and memory only.

    Returns:
      EvaluationResult; the very same as `evaluate`'s with the seed that the tasks were drawn from.

    Raises:
      InputError: the table does not fit the model or the tasks.
    """
    require_fits(model, table)
    return _evaluate(model, table, tasks, batch_size)


def _evaluate(model, table, tasks, batch_size, measured=None, workers=SINGLE_PROCESS):
    model.require_ways(tasks.ways)
    sampler, start = sampler_of(table, tasks, model), time.perf_counter()
    evaluator = Evaluator(adapted_by(model), sampler, workers.batch_size(len(tasks), batch_size))
    scores = workers.spread(lambda some: evaluator.run_on(tasks.take(some)), len(tasks), batch_size)
    seconds = time.perf_counter() - start
    if measured is None:
        scoring = Scoring(table, tasks, batch_size)
        measured = [scoring.measure(*each) for each in planned(model)]
    return EvaluationResult(
        task_accuracy=scores.accuracy,
        task_loss=scores.loss,
        baseline_names=np.array([each.title for each in measured]),
        task_baselines=np.stack([each.accuracy for each in measured]),
        ways=tasks.ways,
        shots=tasks.shots,
        queries=tasks.queries,
        seed=tasks.seed,
        stream=tasks.stream,
        data_digest=tasks.data_digest,
        tasks_digest=tasks.digest,
        model_fingerprint=fingerprint(model),
        algorithm=model.algorithm,
        seconds=seconds,
    )


class ClassificationEvaluation(Evaluation):
    """Accuracy on the tasks of a split; see Evaluation."""

    result_type = EvaluationResult

    def __init__(self, config, request, trained=None, data_record=MappingProxyType({}), workers=SINGLE_PROCESS):
        super().__init__(config, request, trained, data_record, workers)
        self._requested, self._last_measured = requested(request.baselines), []
        self.title = f"{config.data.dataset_name} {request.split}: "
        self._num_tasks = _NUM_TASKS if request.num_tasks is None else request.num_tasks
        seen = {"train", "val"} if self.trained.data.train_on_val else {"train"}
        if request.split in seen and config.data.dataset_name == self.trained.data.dataset_name:
            _logger.warning(
                "The run was trained on the classes of split=%s; this is no test of new classes.", request.split
            )

    def _name_parts(self):
        data, episodes, request = self.config.data, self.config.episodes, self.request
        if data.dataset_name != self.trained.data.dataset_name:
            yield data.dataset_name
        if data.embedding_crop != self.trained.data.embedding_crop:
            yield data.embedding_crop
        if request.tasks_file:
            yield f"tasks-{Path(request.tasks_file).stem}"
            return
        if episodes != self.trained.episodes:
            yield f"{episodes.num_classes}way-{episodes.num_tr_examples_per_class}shot"
        if episodes.tasks_within != self.trained.episodes.tasks_within:
            yield f"within-{episodes.tasks_within}"
        if request.queries:
            yield f"{request.queries}queries"
        if self._num_tasks != _NUM_TASKS:
            yield f"{self._num_tasks}tasks"
        if request.seed:
            yield f"seed{request.seed}"

    @property
    def about(self):
        data = self.config.data
        return {
            **super().about,
            "dataset_name": data.dataset_name,
            "embedding_crop": data.embedding_crop,
            "train_on_val": self.trained.data.train_on_val,
            **({"tasks_file": self.request.tasks_file} if self.request.tasks_file else {}),
        }

    @functools.cached_property
    def table(self):
        """The EmbeddingTable of the split; says so where its extractor was trained on its classes, or may have been."""
        data = self.config.data
        table = load_table(data, self.request.split)
        folder = find_card_folder(data.data_path, data.dataset_name, data.embedding_crop)
        said = what_the_extractor_saw(read_card(folder), table.class_names) if folder else ""
        if said and self.request.split != "train":
            _logger.warning("%s", said)
        return table

    @functools.cached_property
    def tasks(self):
        episodes, request = self.config.episodes, self.request
        if request.tasks_file:
            return Tasks.load(request.tasks_file, self.table)
        shape = episodes.num_classes, episodes.num_tr_examples_per_class, request.queries
        sampler = EpisodeSampler(self.table, *shape, within=episodes.tasks_within)
        return draw_from(sampler, self.table.digest, self._num_tasks, request.seed)

    def subject(self, learner):
        return ClassificationTarget(learner, self.table, self.tasks)

    def advice(self, result, best_step, last_step):
        trained = self.trained.episodes
        circumstances = Circumstances(
            train_classes=self.data_record.get("train_classes"),
            trained_shots=trained.num_tr_examples_per_class,
            shots=result.shots,
            trained_ways=None if trained.metatrain_ways else trained.num_classes,
            ways=result.ways,
            best_step=best_step,
            last_step=last_step,
        )
        baselines = {name: interval.mean for name, interval in result.baselines.items()}
        return below_baselines(result.algorithm, result.accuracy.mean, baselines, circumstances)

    def calibrate(self, learner):
        table, episodes, training = load_table(self.config.data, "val"), self.trained.episodes, self.trained.training
        ways = training.metavalid_ways or episodes.num_classes
        shots = episodes.num_tr_examples_per_class
        queries = min(episodes.num_val_examples_per_class, int(table.class_sizes.min()) - shots)
        sampler = EpisodeSampler(table, ways, shots, queries, self.trained.episodes.tasks_within)
        tasks = draw_from(sampler, table.digest, _CALIBRATION_TASKS, training.validation_seed, randomness.VALIDATION)
        temperature = temperature_of(learner, table, tasks)
        before, after = (calibrate(learner, table, tasks, temperature=each) for each in (1.0, temperature))
        return {
            "temperature": temperature,
            "model_fingerprint": fingerprint(learner),
            "validation_tasks": {"ways": ways, "shots": shots, "queries": queries, "num_tasks": len(tasks)},
            "before": before.summary(),
            "after": after.summary(),
        }

    def evaluate(self, learner):
        require_fits(learner, self.table)
        digests = {"data_digest": self.table.digest, "tasks_digest": self.tasks.digest}
        if self._requested:  # before the work, for what may be wrong with it
            digests["validation_digest"] = self._scoring.validation()[0].digest
        baselines = list(planned(learner, self._requested, self._training_classes, self._plda))
        # What one worker cannot read is said before all wait for what only some do.
        titles = "; ".join(title_of(*each) for each in baselines)
        self.workers.assert_equal({**digests, "baselines": titles})
        self._last_measured = [self._scoring.measure(*each, self.workers) for each in baselines]
        batch_size = self.config.training.metatest_batch_size
        return _evaluate(learner, self.table, self.tasks, batch_size, self._last_measured, self.workers)

    def extras(self, learner, title):
        """Return what was chosen for the baselines of the last evaluation."""
        chosen = [each for each in self._last_measured if each.choice]
        text = "; ".join(f"{each.title} {each.strength}={each.choice.strength:g}" for each in chosen)
        text = f"chosen on {VALIDATION_TASKS} validation tasks: {text}" if text else ""
        return Extras(text, {"baseline_choices": {each.title: each.summary() for each in self._last_measured}}, {})

    def _plda(self):
        table, tasks = self._scoring.validation()
        return self._training_classes.plda(table, tasks.ways, tasks.shots)

    @functools.cached_property
    def _scoring(self):
        batch_size = self.config.training.metatest_batch_size
        return Scoring(self.table, self.tasks, batch_size, lambda: load_table(self.config.data, "val"))

    @functools.cached_property
    def _training_classes(self):
        trained, now = self.trained.data, self.config.data
        moved = dataclasses.replace(trained, data_path=now.data_path, cache_dir=now.cache_dir)
        there = [dataclasses.replace(data, download=False) for data in dict.fromkeys([moved, trained])]
        return TrainingClasses(
            self.data_record.get("train_digest"), [functools.partial(load_table, data, "train") for data in there]
        )


def load_table(data, split):
    """Load a split as a DataConfig describes it."""
    return EmbeddingTable.load(
        data.data_path,
        data.dataset_name,
        split,
        embedding_crop=data.embedding_crop,
        train_on_val=data.train_on_val,
        normalize=data.normalize_embeddings,
        download=data.download,
        cache_dir=data.cache_dir,
    )
