"""N-way K-shot classification on embedding tables, as a problem to train on."""

import dataclasses
import functools
import importlib.util
import logging
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from leo_tf import randomness
from leo_tf.classification.baselines import FITTED, NEAREST_MEANS, RAW, Scoring, space_of_model
from leo_tf.classification.calibration import calibrate
from leo_tf.classification.diagnostics import Circumstances, below_baselines, best_above, possessive
from leo_tf.classification.evaluation import ClassificationEvaluation, load_table
from leo_tf.classification.evaluator import Evaluator, adapted_by, sampler_of
from leo_tf.classification.leo import LEO
from leo_tf.classification.maml import MAML, MetaSGD
from leo_tf.classification.prototype_init import choose_start
from leo_tf.classification.tasks import draw_from
from leo_tf.config import LEOConfig
from leo_tf.data import EpisodeSampler, most_ways
from leo_tf.data.extractor_metadata import FILES, find_card_folder
from leo_tf.errors import InputError
from leo_tf.evaluation.calibration import reliability_diagram
from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.problem import Problem, Validation

_logger = logging.getLogger("leo_tf")
_FIGURE_TASKS, _FIGURE_QUERIES = 200, 15
_MOST_DIM = 1_000_000  # of embeddings: a damaged record must not take the memory
_MOST_OF_NEWTON = 10 * (10 * 10) ** 3  # of a task; logistic regression of larger ones takes minutes
_LEARNERS = {"leo": LEO, "maml": MAML, "metasgd": MetaSGD}


class Classification(Problem):
    """Classification of a data set's classes, judged by accuracy on its validation classes."""

    _baselines: Mapping[str, float] = MappingProxyType({})  # of the validation tasks

    measure = "accuracy"
    other_measures = ("loss",)
    evaluation_type = ClassificationEvaluation
    evaluation_flags = frozenset(
        {
            *("data_path", "dataset_name", "embedding_crop", "num_classes", "num_tr_examples_per_class", "queries"),
            *("tasks", "write_tasks", "ways_grid", "analysis_tasks", "calibrate", "baselines", "tasks_within"),
        }
    )

    @functools.cached_property
    def _train(self):
        return load_table(self.config.data, "train")

    @functools.cached_property
    def _validation(self):
        """The table of the validation classes; None where nothing is validated."""
        if not self.config.training.metavalid_tasks:
            return None
        try:
            table = load_table(self.config.data, "val")
        except InputError as error:
            raise InputError(f"{error} Without validation classes: metavalid_tasks=0.") from None
        if table.dim != self._train.dim:
            raise InputError(
                f"{self._train.source} has dim {self._train.dim}, {table.source} {table.dim}; expected equal."
            )
        return table

    @property
    def data_record(self):
        train, validation = self._train, self._validation
        record = {"embedding_dim": train.dim, "train_classes": train.num_classes, "train_digest": train.digest}
        return record if validation is None else record | {"validation_digest": validation.digest}

    @property
    def attachments(self):
        """The feature extractor of the embeddings and its card, so that the run alone can classify images."""
        data = self.config.data
        folder = find_card_folder(data.data_path, data.dataset_name, data.embedding_crop)
        names = FILES if folder else ()
        return {f"extractor/{name}": folder / name for name in names if (folder / name).is_file()}

    def summary(self):
        return self._train.summary()

    def build_learner(self, data_record, seed=None):
        config, dim = self.config, data_record.get("embedding_dim")
        if not isinstance(dim, int) or not 1 <= dim <= _MOST_DIM:
            raise InputError(
                f"The record of the run's data has embedding_dim {dim!r:.80}; expected a whole number of at least 1, "
                f"at most {_MOST_DIM:,}."
            )
        if config.algorithm == "leo":
            return LEO(config.model, dim, seed=seed)
        return _LEARNERS[config.algorithm](config.model, dim, config.episodes.num_classes)

    def make_sampler(self, learner):
        episodes = self.config.episodes
        self._fit(learner)
        ways = episodes.num_classes
        if self.config.algorithm == "leo":  # the baselines' weights belong to so many classes
            ways = max(ways, min(episodes.metatrain_ways, most_ways(self._train, ways, episodes.tasks_within)))
        return EpisodeSampler(
            learner.transform_table(self._train),
            ways,
            episodes.num_tr_examples_per_class,
            episodes.num_val_examples_per_class,
            within=episodes.tasks_within,
        )

    def _fit(self, learner):
        """Fit the embedding transform; choose on validation tasks what the configuration leaves to them."""
        model, episodes = self.config.model, self.config.episodes
        left = model.chosen_at_start if self.config.algorithm == "leo" else ()
        if not left:
            learner.fit_transform(self._train, episodes.num_tr_examples_per_class)
            return
        if self._validation is None:
            zeros = ", ".join(f"{name}=0" for name in left)
            numbers = ", ".join(f"{name}={getattr(LEOConfig, name):g}" for name in left)
            raise InputError(
                f"{zeros}: chosen on validation tasks, and metavalid_tasks=0 was given; expected validation tasks, or "
                f"numbers, such as {numbers}."
            )
        ways, shots = self._validation_shape
        start = choose_start(model, self._train, self._validation, ways, shots, episodes.tasks_within)
        learner.fit_transform(self._train, shots, start.shrinkage, start.between)
        if "support_temperature" in left:
            learner.start_at(start.scale, start.temperature, start.rate, start.bias_share, shots)
        elif "prototype_scale" in left:
            learner.start_at(start.scale)
        if model.query_dropout == "easy":
            learner.drops_queries.assign(float(start.is_easy))
        values = {
            "within_class_shrinkage": start.shrinkage,
            "between_class_shrinkage": start.between,
            "prototype_scale": start.scale,
            "support_temperature": start.temperature,
            "finetuning_lr_init": start.rate * model.copies(shots),
        }
        named = [*left, "finetuning_lr_init"] if "support_temperature" in left else left
        texts = [f"{name}={values[name]:.3g}" for name in named] + ["for the bias too"] * (start.bias_share > 0)
        if model.query_dropout == "easy":
            dropped = "all" if start.is_easy else "none"
            texts.append(f"query_dropout={dropped} (class means: {100 * start.accuracy:.1f} % correct)")
        _logger.info("Chosen on validation tasks: %s.", ", ".join(texts))

    def make_validator(self, learner, workers=SINGLE_PROCESS):
        training, table = self.config.training, self._validation
        if table is None:
            return None
        ways, shots = self._validation_shape
        learner.require_ways(ways)
        sampler = EpisodeSampler(
            table, ways, shots, training.metavalid_queries or None, self.config.episodes.tasks_within
        )
        tasks = draw_from(
            sampler, table.digest, training.metavalid_tasks, training.validation_seed, randomness.VALIDATION
        )
        batch_size = workers.batch_size(training.metavalid_tasks, training.metavalid_batch_size)
        evaluator = Evaluator(adapted_by(learner), sampler_of(table, tasks, learner), batch_size)
        scoring = Scoring(table, tasks, batch_size, lambda: table)
        planned = self._planned(learner, tasks)
        measured = [scoring.measure(baseline, space, workers) for baseline, space in planned]
        self._baselines = baselines = {each.title: float(each.accuracy.mean()) for each in measured}
        draw = self._reliability(learner, table)

        def validate():
            scores = workers.spread(lambda some: evaluator.run_on(tasks.take(some)), len(tasks), batch_size)
            # A classifier of NaN answers nothing right: no accuracy, rather than a bad one.
            accuracy = np.where(np.isnan(scores.loss), np.nan, scores.accuracy)
            others = {"loss": float(scores.loss.mean())}
            return Validation(confidence_interval(accuracy), others, draw(), baselines, accuracy)

        return validate

    def _planned(self, learner, tasks):
        """Yield (Baseline, Space) of what stands beside every validation."""
        nearest, own = NEAREST_MEANS["nearest_class_mean"], space_of_model(learner)
        yield nearest, RAW
        if own:
            yield nearest, own
        if own and self.config.model.chosen_at_start and tasks.ways**4 * tasks.shots**3 <= _MOST_OF_NEWTON:
            yield FITTED["logistic_regression"], own

    @property
    def _validation_shape(self):
        """Return (ways, shots) of validation tasks; raises InputError, with what to set, where there are too few."""
        training, episodes, table = self.config.training, self.config.episodes, self._validation
        ways, shots = training.metavalid_ways or episodes.num_classes, episodes.num_tr_examples_per_class
        if ways > table.num_classes:
            what = f"metavalid_ways={table.num_classes}" if table.num_classes > 1 else "metavalid_tasks=0, none,"
            raise InputError(
                f"{table.source} has {table.num_classes} classes; validation in {ways}-way tasks needs {ways}. Give "
                f"{what} or add classes."
            )
        return ways, shots

    def _reliability(self, learner, table):
        """Return a function that draws, where it can, how far the learner's probabilities can be believed."""
        ways, shots = self._validation_shape
        queries = min(_FIGURE_QUERIES, int(table.class_sizes.min()) - shots)
        if importlib.util.find_spec("matplotlib") is None:
            return dict
        sampler = EpisodeSampler(table, ways, shots, queries, self.config.episodes.tasks_within)
        tasks = draw_from(
            sampler, table.digest, _FIGURE_TASKS, self.config.training.validation_seed, randomness.VALIDATION
        )

        def draw():
            found = calibrate(learner, table, tasks)
            return {"reliability": reliability_diagram(found, f"{ways}-way {shots}-shot, validation tasks")}

        return draw

    def evaluation_settings(self, learner):
        ways = self.config.episodes.num_classes
        try:
            classes = load_table(dataclasses.replace(self.config.data, download=False), "test").num_classes
            if classes < ways:
                learner.require_ways(classes)
                return {"num_classes": classes} if classes > 1 else {}
        except InputError:  # there are none, or none that it can tell apart: evaluate.py says so
            pass
        return {}

    def advice(self, validation, step, best_step):
        ways, shots = self._validation_shape
        trained = self.config.episodes
        circumstances = Circumstances(
            train_classes=self._train.num_classes,
            trained_shots=trained.num_tr_examples_per_class,
            shots=shots,
            trained_ways=None if trained.metatrain_ways else trained.num_classes,
            ways=ways,
            best_step=best_step,
            last_step=step,
        )
        algorithm = _LEARNERS[self.config.algorithm].algorithm
        return below_baselines(algorithm, validation.interval.mean, validation.baselines, circumstances)

    def standing(self, best):
        above = best_above(best, self._baselines)
        return f", below {possessive(above)}, {self.text(self._baselines[above])}" if above else ""

    @staticmethod
    def text(value, half_width=None):
        return f"{100 * value:.2f} %" if half_width is None else Interval(value, half_width).percent()
