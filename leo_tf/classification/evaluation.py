"""Evaluate a classification learner on fixed tasks, beside baselines on the same tasks."""

import contextlib
import dataclasses
import functools
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leo_tf.classification.analysis_target import ClassificationTarget
from leo_tf.classification.baselines import (
    BaseClasses,
    BaselineScores,
    Scoring,
    planned,
    requested,
    title_of,
)
from leo_tf.classification.calibration import fit_calibration
from leo_tf.classification.diagnostics import Circumstances, below_baseline
from leo_tf.classification.evaluator import Evaluator, adapted_by, require_fits, sampler_of
from leo_tf.classification.results import EvaluationResult
from leo_tf.classification.tasks import Tasks, draw_tasks
from leo_tf.config import DataConfig
from leo_tf.data import EmbeddingTable
from leo_tf.data.extractor_metadata import find_extractor, overlap_warning, read_extractor_metadata
from leo_tf.data.image_paths import row_names
from leo_tf.data.layout import locate_split
from leo_tf.data.overlap import refuse_shared_names, warn_of_shared_rows
from leo_tf.errors import InputError
from leo_tf.evaluation.fingerprint import fingerprint
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.problem import Evaluation, EvaluationReport

_logger = logging.getLogger("leo_tf")
_SUPPORT_FLOATS = 2**25  # of the embeddings of a batch of support sets


def evaluate(
    model: Any,
    table: EmbeddingTable,
    ways: int = 5,
    shots: int = 1,
    queries: int | None = None,
    num_tasks: int = 10_000,
    batch_size: int = 200,
    seed: int = 0,
    within: str = "all",
) -> EvaluationResult:
    """Evaluate a model on seeded tasks of a table.

    Args:
      model: LEO, or another classification.ClassificationLearner.
      table: EmbeddingTable of the model's embedding_dim.
      ways, shots: shape of a task; LEO takes any, whatever it was trained with.
      queries: query examples per class; None takes all remaining ones (of the smallest class).
      num_tasks: number of tasks, at least 2. Every model gets the same tasks from the same seed.
      batch_size: tasks per batch; changes speed and memory only.
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
    tasks = draw_tasks(table, ways, shots, queries, num_tasks, seed, within=within)
    return evaluate_tasks(model, table, tasks, batch_size)


def evaluate_tasks(model: Any, table: EmbeddingTable, tasks: Tasks, batch_size: int = 200) -> EvaluationResult:
    """Evaluate a model on Tasks of a table, from `draw_tasks` or `Tasks.load`; otherwise as `evaluate`."""
    require_fits(model, table)
    model.require_ways(tasks.ways)
    scoring = Scoring(table, tasks, batch_size)
    baselines = [scoring.measure(*each) for each in planned()]
    return _evaluate(model, table, tasks, batch_size, baselines)


def _evaluate(
    model: Any,
    table: EmbeddingTable,
    tasks: Tasks,
    batch_size: int,
    baselines: Sequence[BaselineScores],
    workers: Any = SINGLE_PROCESS,
) -> EvaluationResult:
    start = time.perf_counter()
    batch_size = workers.batch_size(len(tasks), batch_size)
    evaluator = Evaluator(adapted_by(model, tasks.unequal), sampler_of(table, tasks, model), batch_size)
    scores = evaluator.run_with(workers, tasks)
    seconds = time.perf_counter() - start
    return EvaluationResult.from_scores(
        scores, baselines, tasks, model_fingerprint=fingerprint(model), algorithm=model.algorithm, seconds=seconds
    )


class ClassificationEvaluation(Evaluation):
    """Accuracy on the tasks of a split; see Evaluation."""

    result_type: Any = EvaluationResult
    default_tasks = 10_000

    def _set_up(self) -> None:
        config, request = self.config, self.request
        self._requested = requested(request.baselines)
        self.title = f"{config.data.dataset_name} {request.split}: "
        self._num_tasks = self.default_tasks if request.num_tasks is None else request.num_tasks
        seen = {"train", "val"} if self.trained.data.train_on_val else {"train"}
        if request.split in seen and config.data.dataset_name == self.trained.data.dataset_name:
            _logger.warning(
                "The run was trained on the classes of split=%s; this does not test it on new classes.", request.split
            )

    def _name_parts(self) -> Iterator[str]:
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
        if self._num_tasks != self.default_tasks:
            yield f"{self._num_tasks}tasks"
        if request.seed:
            yield f"seed{request.seed}"

    @property
    def about(self) -> dict[str, Any]:
        data = self.config.data
        return {
            **super().about,
            "dataset_name": data.dataset_name,
            "embedding_crop": data.embedding_crop,
            "train_on_val": self.trained.data.train_on_val,
            **({"tasks_file": self.request.tasks_file} if self.request.tasks_file else {}),
        }

    @functools.cached_property
    def table(self) -> EmbeddingTable:
        """The EmbeddingTable of the split; warns if classes or rows may have trained the model or its extractor."""
        data = self.config.data
        table = load_table(data, self.request.split)
        folder = find_extractor(data.data_path, data.dataset_name, data.embedding_crop)
        warning = overlap_warning(read_extractor_metadata(folder), table.class_names) if folder else ""
        if warning and self.request.split != "train":
            _logger.warning("%s", warning)
        self._compare_to_training(table)
        return table

    def _compare_to_training(self, table: EmbeddingTable) -> None:
        """Refuse classes of the table that are in the run's training or validation too; warn of shared rows.

        Another data set may have classes of the same names. With train_on_val, train and val overlap on purpose.
        """
        now, trained, split, others = self.config.data, self.trained.data, self.request.split, {}
        if split == "test" or not trained.train_on_val:
            if split != "train" and self._base_classes.table is not None:
                others["train"] = self._base_classes.table
            if split != "val":
                with contextlib.suppress(InputError):  # there are no validation classes
                    others["val"] = load_table(dataclasses.replace(now, download=False), "val")
        for name, other in others.items():
            if name == "val" or now.dataset_name == trained.dataset_name:
                refuse_shared_names(other, table)
        warn_of_shared_rows(split, table, others)

    @functools.cached_property
    def validation_table(self) -> EmbeddingTable:
        """The EmbeddingTable of the validation classes, on which hyperparameters and temperatures are chosen."""
        return load_table(self.config.data, "val")

    @functools.cached_property
    def tasks(self) -> Tasks:
        episodes, request = self.config.episodes, self.request
        if request.tasks_file:
            return Tasks.load(request.tasks_file, self.table)
        shape = episodes.num_classes, episodes.num_tr_examples_per_class, request.queries
        return draw_tasks(self.table, *shape, self._num_tasks, request.seed, within=episodes.tasks_within)

    def write_tasks(self, path: str | Path) -> None:
        """Write the tasks for `Tasks.load`, with the names of the table's rows where its files have them.

        Those are row_names [rows], and row_classes [rows], the class of each row as in class_ids.
        """
        data, splits = self.config.data, [self.request.split]
        if data.train_on_val and splits == ["train"]:
            splits = ["train", "val"]
        names = None
        if data.dataset_name != "glyphs":
            place = data.data_path, data.dataset_name, data.embedding_crop
            names = row_names([locate_split(*place, split, False, data.cache_dir) for split in splits], self.table)
        classes = np.repeat(np.arange(self.table.num_classes), self.table.class_sizes)
        self.tasks.save(path, **({} if names is None else {"row_names": names, "row_classes": classes}))

    def analysis_target(self, learner: Any) -> ClassificationTarget:
        return ClassificationTarget(learner, self.table, self.tasks)

    def advice(self, result: EvaluationResult, best_step: int, last_step: int | None) -> str:
        classes, trained = self.data_record.get("train_classes"), self.trained.episodes
        shape = result.shots, result.ways
        circumstances = Circumstances(self.trained.algorithm, classes, trained, *shape, best_step, last_step)
        difference = result.difference_to_best_baseline.difference
        return below_baseline(result.algorithm, result.best_baseline, difference, circumstances)

    def calibrate(self, learner: Any) -> dict[str, Any]:
        return fit_calibration(learner, self.validation_table, self.trained)

    def evaluate(self, learner: Any, workers: Any = SINGLE_PROCESS) -> EvaluationResult:
        return self.run(learner, workers=workers).result

    def run(self, learner: Any, title: str = "", workers: Any = SINGLE_PROCESS) -> EvaluationReport:
        return self.run_on(self.tasks, learner, workers)

    def run_on(self, tasks: Tasks, learner: Any, workers: Any) -> EvaluationReport:
        """Evaluate on Tasks of this table; the report adds the hyperparameters that were chosen for the baselines."""
        require_fits(learner, self.table)
        learner.require_ways(tasks.ways)
        digests = {"data_digest": self.table.digest, "tasks_digest": tasks.digest}
        largest = max(1, _SUPPORT_FLOATS // (tasks.ways * tasks.shots * self.table.dim))
        batch_size = min(self.config.training.metatest_batch_size, largest)
        scoring = Scoring(self.table, tasks, batch_size, lambda: self.validation_table)
        if self._requested:  # the validation classes may have too few examples: say so before the work
            digests["validation_digest"] = scoring.validation[0].digest

        baselines = list(
            planned(self._requested, self._base_classes, lambda: self._base_classes.plda(*scoring.validation))
        )
        # If one worker cannot read the training classes, all must hear of it before they wait for each other.
        titles = "; ".join(title_of(*each) for each in baselines)
        workers.assert_equal({**digests, "baselines": titles})
        measured = [scoring.measure(*each, workers) for each in baselines]
        result = _evaluate(learner, self.table, tasks, batch_size, measured, workers)
        chosen = [f"{each.title} {each.hyperparameter}={each.choice.value:g}" for each in measured if each.choice]
        text = f"chosen on validation tasks: {'; '.join(chosen)}" if chosen else ""
        return EvaluationReport(
            result, (), text, {"baseline_choices": {each.title: each.summary() for each in measured}}
        )

    @functools.cached_property
    def _base_classes(self) -> BaseClasses:
        trained, now = self.trained.data, self.config.data
        moved = dataclasses.replace(trained, data_path=now.data_path, cache_dir=now.cache_dir)
        places = [dataclasses.replace(data, download=False) for data in dict.fromkeys([moved, trained])]
        return BaseClasses(
            self.data_record.get("train_digest"), [functools.partial(load_table, data, "train") for data in places]
        )


def load_table(data: DataConfig, split: str) -> EmbeddingTable:
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
