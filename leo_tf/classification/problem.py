"""N-way K-shot classification on embedding tables, as a problem to train on."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from leo_tf import randomness
from leo_tf.classification.calibration import calibrate
from leo_tf.classification.diagnostics import Circumstances, below_baseline, best_above
from leo_tf.classification.evaluation import ClassificationEvaluation, load_table
from leo_tf.classification.grid import grid_cells, task_shapes
from leo_tf.classification.grid_evaluation import GridEvaluation
from leo_tf.classification.proto_leo_init import InitializationData
from leo_tf.classification.tasks import Tasks, draw_tasks
from leo_tf.classification.validation import Validator
from leo_tf.config import learner_class
from leo_tf.data import EmbeddingTable, EpisodeSampler, most_ways
from leo_tf.data.extractor_metadata import METADATA_FILE, MODEL_FILE, find_extractor
from leo_tf.data.overlap import refuse_shared_names, warn_of_shared_rows
from leo_tf.errors import InputError
from leo_tf.evaluation import plots
from leo_tf.evaluation.calibration import reliability_diagram
from leo_tf.evaluation.intervals import Interval
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.problem import Initialization, Problem, Validation

_FIGURE_TASKS, _FIGURE_QUERIES = 200, 15
_MOST_DIM = 1_000_000  # of embeddings: a corrupt record must not take all memory


class Classification(Problem):
    """Classification of a data set's classes; the best checkpoint has the highest validation accuracy."""

    _baselines: Mapping[str, float] = MappingProxyType({})  # accuracies on the validation tasks

    measure = "accuracy"
    other_measures = ("loss",)
    evaluation_type = ClassificationEvaluation
    grid_type = GridEvaluation

    @functools.cached_property
    def _train(self) -> EmbeddingTable:
        table = load_table(self.config.data, "train")
        warn_of_shared_rows("train", table)
        return table

    @functools.cached_property
    def _validation(self) -> EmbeddingTable | None:
        """The table of the validation classes; None without validation."""
        if not self.config.training.metavalid_tasks:
            return None
        try:
            table = load_table(self.config.data, "val")
        except InputError as error:
            raise InputError(f"{error} Without validation classes: metavalid_tasks=0.", "metavalid_tasks") from None
        if table.dim != self._train.dim:
            raise InputError(
                f"{self._train.source} has dim {self._train.dim}, {table.source} {table.dim}; expected equal."
            )
        if self.config.data.train_on_val:  # they overlap on purpose
            return table
        refuse_shared_names(self._train, table)
        warn_of_shared_rows("val", table, {"train": self._train})
        return table

    @functools.cached_property
    def _task_table(self) -> EmbeddingTable | None:
        """The table that validation tasks are drawn from; for a grid without duplicates, as for ProtoLEO's settings."""
        table = self._validation
        return table.without_duplicates(at_least=2) if table and self.config.training.metavalid_grid else table

    @property
    def data_record(self) -> dict[str, Any]:
        train, validation = self._train, self._validation
        record = {"embedding_dim": train.dim, "train_classes": train.num_classes, "train_digest": train.digest}
        return record if validation is None else record | {"validation_digest": validation.digest}

    @property
    def attachments(self) -> Mapping[str, Path]:
        """The embeddings' feature extractor and its metadata, with which the run alone can classify images."""
        data = self.config.data
        folder = find_extractor(data.data_path, data.dataset_name, data.embedding_crop)
        if folder is None:
            return {}
        files = folder / METADATA_FILE, folder / MODEL_FILE
        return {f"extractor/{file.name}": file for file in files if file.is_file()}

    def summary(self) -> str:
        return self._train.summary()

    def build_learner(self, data_record: Mapping[str, Any], seed: int | None = None) -> Any:
        config, dim = self.config, data_record.get("embedding_dim")
        if not isinstance(dim, int) or not 1 <= dim <= _MOST_DIM:
            raise InputError(
                f"The record of the run's data has embedding_dim {dim!r:.80}; expected a whole number from 1 to "
                f"{_MOST_DIM:,}."
            )
        kind = learner_class(config.algorithm, "classification")
        options: dict[str, Any] = {"proto_config": config.proto_leo} if config.proto_leo else {}
        if kind.needs_ways:
            options["ways"] = config.episodes.num_classes
        return kind(config.model, embedding_dim=dim, seed=seed, dtype="float32", **options)

    def initialize(self, learner: Any, previous: Initialization | None = None) -> Initialization:
        episodes = self.config.episodes
        if self._validation:
            _ = self._validation_shapes  # raises where there are too few classes, before anything is fitted
        data = InitializationData(self._train, self._validation, episodes.num_classes, episodes.tasks_within)
        return learner.initialize(data, previous)

    def make_samplers(self, learner: Any) -> list[EpisodeSampler]:
        episodes, table = self.config.episodes, learner.training_table(self._train)
        queries, within = episodes.num_val_examples_per_class, episodes.tasks_within
        if learner.fixed_ways is not None:
            return [EpisodeSampler(table, episodes.num_classes, episodes.num_tr_examples_per_class, queries, within)]
        few, many = episodes.ways_range
        most = most_ways(table, min(few, episodes.num_classes), within)
        shapes = task_shapes((min(few, most), min(many, most)), episodes.shots_range, table, queries)
        first, *others = shapes
        sampler = EpisodeSampler(table, *first, queries, within)
        return [sampler, *(EpisodeSampler(table, *shape, queries, within, sampler.embeddings) for shape in others)]

    def make_validator(self, learner: Any, workers: Any = SINGLE_PROCESS) -> Callable[[], Validation] | None:
        training, table = self.config.training, self._task_table
        if table is None:
            return None
        shapes = self._validation_shapes
        for ways, _ in shapes:
            learner.require_ways(ways)
        tasks, smallest = [], int(table.class_sizes.min())
        parts = np.array_split(np.arange(training.metavalid_tasks), len(shapes))
        for (ways, shots), part in zip(shapes, parts, strict=True):
            queries = training.metavalid_queries or None
            if queries and training.metavalid_grid:  # whose shots differ: as many as the smallest class has left
                queries = min(queries, smallest - shots)
            tasks.append(self._validation_tasks(table, ways, shots, queries, len(part)))
        validator = Validator(learner, table, tasks, training.metavalid_batch_size, workers)
        self._baselines, draw = validator.baselines, self._reliability(learner)
        return lambda: validator()._replace(figures=draw())

    @property
    def _validation_shapes(self) -> list[tuple[int, int]]:
        """Return (ways, shots) of the validation tasks."""
        if not self.config.training.metavalid_grid:
            return [self._validation_shape]
        table: Any = self._task_table
        episodes = self.config.episodes
        return [(cell.ways, cell.shots) for cell in grid_cells(table, episodes.num_classes, episodes.tasks_within)]

    @property
    def _validation_shape(self) -> tuple[int, int]:
        """Return (ways, shots) of validation tasks; raises InputError where there are too few classes."""
        training, episodes = self.config.training, self.config.episodes
        table: Any = self._validation
        ways, shots = training.metavalid_ways or episodes.num_classes, episodes.num_tr_examples_per_class
        if ways > table.num_classes:
            several = table.num_classes > 1
            instead = (
                f"metavalid_ways={table.num_classes}" if several else "metavalid_tasks=0 to train without validation"
            )
            raise InputError(
                f"{table.source} has {table.num_classes} class{'es' * several}; {ways}-way validation tasks need "
                f"{ways}. Give {instead}, or add classes."
            )
        return ways, shots

    def _validation_tasks(self, table: EmbeddingTable, ways: int, shots: int, queries: int | None, count: int) -> Tasks:
        seed, within = self.config.training.validation_seed, self.config.episodes.tasks_within
        return draw_tasks(table, ways, shots, queries, count, seed, randomness.VALIDATION, within)

    def _reliability(self, learner: Any) -> Callable[[], dict[str, Any]]:
        """Return a function that draws a reliability diagram; without matplotlib it draws nothing."""
        if not plots.can_draw():
            return dict
        ways, shots = self._validation_shape
        table: Any = self._validation
        queries = min(_FIGURE_QUERIES, int(table.class_sizes.min()) - shots)
        tasks = self._validation_tasks(table, ways, shots, queries, _FIGURE_TASKS)

        def draw() -> dict[str, Any]:
            found = calibrate(learner, table, tasks)
            return {"reliability": reliability_diagram(found, f"{ways}-way {shots}-shot, validation tasks")}

        return draw

    def evaluation_settings(self, learner: Any) -> dict[str, Any]:
        ways = self.config.episodes.num_classes
        try:
            classes = load_table(dataclasses.replace(self.config.data, download=False), "test").num_classes
            if classes < ways:
                learner.require_ways(classes)
                return {"num_classes": classes} if classes > 1 else {}
        except InputError:  # there are none, or none that it can tell apart: evaluate.py says so
            pass
        return {}

    def advice(self, validation: Validation, step: int, best_step: int) -> str:
        ways, shots = self._validation_shape
        algorithm, classes = self.config.algorithm, self._train.num_classes
        circumstances = Circumstances(algorithm, classes, self.config.episodes, shots, ways, best_step, last_step=step)
        if not validation.baselines:
            return ""
        baseline, accuracy = max(validation.baselines.items(), key=lambda item: item[1])
        difference = Interval(validation.interval.mean - accuracy, validation.interval.half_width)
        return below_baseline(learner_class(algorithm, "classification").algorithm, baseline, difference, circumstances)

    def standing(self, best: float) -> str:
        above = best_above(best, self._baselines)
        return f", below {above} ({self.text(self._baselines[above])})" if above else ""

    @staticmethod
    def text(value: float, half_width: float | None = None) -> str:
        return f"{100 * value:.2f} %" if half_width is None else Interval(value, half_width).percent()
