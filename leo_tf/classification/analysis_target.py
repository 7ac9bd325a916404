"""A classification learner and fixed tasks to analyse."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from leo_tf import objective
from leo_tf.analysis_target import AnalysisTarget, Spectra, Support
from leo_tf.classification.curvature import spectrum
from leo_tf.classification.evaluator import require_fits, sampler_of
from leo_tf.classification.learner import ClassificationLearner, join_examples
from leo_tf.classification.tasks import Tasks
from leo_tf.data import EmbeddingTable, Episode
from leo_tf.evaluation.progress import Progress
from leo_tf.learners.meta_learner import Trace

_PAIRS_AT_ONCE = 5000  # of support examples in the relation network


class ClassificationTarget(AnalysisTarget):
    """See AnalysisTarget. Supports and queries are features, as the learner's transform makes them.

    Raises InputError where table, tasks and learner do not fit each other.
    """

    measures = MappingProxyType(
        {"accuracy": "accuracy", "loss": "loss, nats", "entropy": "entropy of predictions, nats"}
    )

    def __init__(self, learner: ClassificationLearner, table: EmbeddingTable, tasks: Tasks) -> None:
        super().__init__(learner, tasks)
        require_fits(learner, table)
        learner.require_ways(tasks.ways)
        self.table, self._sampler = table, sampler_of(table, tasks, learner)

    @property
    def labels(self) -> Mapping[str, np.ndarray]:
        return {"class": np.array(self.table.class_names)[self.tasks.class_ids.ravel()]}

    @property
    def code_rows(self) -> np.ndarray:
        return self.tasks.support_rows.reshape(-1, self.tasks.shots)

    def supports(self) -> Iterator[Support]:
        tasks = self.tasks
        at_once = max(1, _PAIRS_AT_ONCE // (tasks.ways * tasks.shots) ** 2)
        for first in range(0, len(tasks), at_once):
            rows = tasks.support_rows[first : first + at_once]
            yield tf.gather(self._sampler.embeddings, rows), self._sampler.labels(len(rows), tasks.shots)

    def spectra(self, support: Support, trace: Trace, adapted: bool) -> Spectra:
        # A temperature divides the logits, which are linear in the inputs: dividing the inputs comes to the same.
        inputs = self.learner.support_logits(join_examples(support[0]))

        def logits(step: int) -> tf.Tensor:
            return self.learner.logits(inputs, trace.parameters[step])

        of_parameters = spectrum(logits(-1 if adapted else 0), inputs)
        if not self.learner.has_latents:
            return Spectra(None, of_parameters)
        decoded = logits(self.learner.inner_steps[0] if adapted else 0)
        return Spectra(spectrum(decoded, self.learner.decoder.project(inputs)), of_parameters)

    def singular_values(self, trace: Trace | None) -> np.ndarray:
        means = tf.convert_to_tensor(self.learner.decoder.kernel)[:, : self.learner.feature_dim]
        return np.linalg.svd(means.numpy().astype(np.float64), compute_uv=False)

    def scores(self) -> Mapping[str, np.ndarray]:
        found = []
        for episode, _ in self.episodes():
            parameters = self.learner.trace(episode.support_x, episode.support_y).parameters
            logits, labels = self.logits(episode, parameters)
            probabilities, logs = tf.nn.softmax(logits), tf.nn.log_softmax(logits)
            entropy = -tf.reduce_sum(tf.math.multiply_no_nan(logs, probabilities), axis=-1)
            loss = tf.reduce_mean(objective.cross_entropy(logits, labels), axis=-1)
            accuracy = tf.stack([objective.accuracy(of_step, labels[0]) for of_step in logits])
            found.append([accuracy.numpy(), loss.numpy(), tf.reduce_mean(entropy, axis=-1).numpy()])
        columns = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        return dict(zip(self.measures, columns, strict=True))

    def logits(self, episode: Episode, classifiers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return (logits [steps, tasks, queries, ways], labels [steps, tasks, queries]) of an Episode's queries.

        classifiers: [steps, tasks, ways, dim].
        """
        steps, tasks, ways, dim = classifiers.shape
        joined = tf.reshape(tf.transpose(classifiers, [1, 0, 2, 3]), [tasks, steps * ways, dim])
        logits = self.learner.logits(join_examples(episode.query_x), joined)
        logits = tf.transpose(tf.reshape(logits, [tasks, -1, steps, ways]), [2, 0, 1, 3])
        labels = join_examples(episode.query_y)
        return logits, tf.broadcast_to(labels, [steps, *labels.shape])

    def query_rows(self, tasks: Tasks) -> np.ndarray:
        """Return the table's rows of the queries of some of the tasks, [tasks, ways, queries]."""
        return tasks.rows(self._sampler)[:, :, tasks.shots :]

    def take(self, indices: Any) -> "ClassificationTarget":
        """Return the target of some of the tasks."""
        return type(self)(self.learner, self.table, self.tasks.take(indices))

    def episodes(self, activity: str = "analysing queries") -> Iterator[tuple[Episode, Tasks]]:
        """Yield (Episode, Tasks) with all queries, a few tasks at a time; activity: shown with the progress."""
        with Progress(activity, len(self.tasks), "tasks") as progress:
            for episode, some in self.tasks.episodes(self._sampler):
                yield episode, some
                progress.add(len(some))
