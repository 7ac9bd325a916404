"""N-way K-shot classification on embedding tables, as a problem to train on."""

import functools

import numpy as np

from leo_tf import randomness
from leo_tf.classification.evaluation import ClassificationEvaluation, load_table
from leo_tf.classification.evaluator import Evaluator, adapted_by
from leo_tf.classification.leo import LEO
from leo_tf.classification.maml import MAML, MetaSGD
from leo_tf.classification.tasks import draw_from
from leo_tf.data import EpisodeSampler
from leo_tf.errors import InputError
from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.problem import Problem, Validation

_BASELINES = {"maml": MAML, "metasgd": MetaSGD}


class Classification(Problem):
    """Classification of a data set's classes, judged by accuracy on its validation classes."""

    measure = "accuracy"
    evaluation_type = ClassificationEvaluation
    evaluation_flags = frozenset(
        {
            *("data_path", "dataset_name", "embedding_crop", "num_classes", "num_tr_examples_per_class", "queries"),
            *("tasks", "write_tasks", "ways_grid", "analysis_tasks"),
        }
    )

    @functools.cached_property
    def _tables(self):
        train, validation = (load_table(self.config.data, split) for split in ("train", "val"))
        if train.dim != validation.dim:
            raise InputError(
                f"{train.source} has dim {train.dim}, {validation.source} {validation.dim}; expected equal."
            )
        return train, validation

    @property
    def data_record(self):
        train, validation = self._tables
        return {"embedding_dim": train.dim, "train_digest": train.digest, "validation_digest": validation.digest}

    def summary(self):
        return self._tables[0].summary()

    def build_learner(self, data_record, seed=None):
        config, dim = self.config, data_record.get("embedding_dim")
        if not isinstance(dim, int) or dim < 1:
            raise InputError(
                f"The record of the run's data has embedding_dim {dim!r}; expected a whole number of at least 1."
            )
        if config.algorithm == "leo":
            return LEO(config.model, dim, seed=seed)
        return _BASELINES[config.algorithm](config.model, dim, config.episodes.num_classes)

    def make_sampler(self):
        episodes = self.config.episodes
        return EpisodeSampler(
            self._tables[0],
            episodes.num_classes,
            episodes.num_tr_examples_per_class,
            episodes.num_val_examples_per_class,
        )

    def make_validator(self, learner):
        training, episodes, table = self.config.training, self.config.episodes, self._tables[1]
        ways, shots = episodes.num_classes, episodes.num_tr_examples_per_class
        sampler = EpisodeSampler(table, ways, shots, training.metavalid_queries or None)
        tasks = draw_from(sampler, table.digest, training.metavalid_tasks, training.seed, randomness.VALIDATION)
        batch_size = min(training.metavalid_batch_size, training.metavalid_tasks)
        evaluator = Evaluator(adapted_by(learner), sampler, batch_size)

        def validate():
            scores = evaluator.run_on(tasks)
            # A classifier of NaN answers nothing right: no accuracy, rather than a bad one.
            accuracy = np.where(np.isnan(scores.loss), np.nan, scores.accuracy)
            return Validation(confidence_interval(accuracy))

        return validate

    @staticmethod
    def text(value, half_width=None):
        return f"{100 * value:.2f} %" if half_width is None else Interval(value, half_width).percent()
