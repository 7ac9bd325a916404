"""N-way K-shot classification on embedding tables, as a problem to train on."""

from leo_tf import randomness
from leo_tf.classification.evaluation import Evaluator, leo_classifier
from leo_tf.data import EmbeddingTable, EpisodeSampler
from leo_tf.errors import InputError
from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.problem import Problem, Validation
from leo_tf.runs.load import build_model


class Classification(Problem):
    """Classification of a data set's classes, judged by accuracy on its validation classes."""

    measure = "accuracy"

    def __init__(self, config):
        self._config = config
        self._train, self._validation = (load_table(config.data, split) for split in ("train", "val"))
        if self._train.dim != self._validation.dim:
            raise InputError(
                f"{self._train.source} has dim {self._train.dim}, {self._validation.source} {self._validation.dim}; "
                "expected equal."
            )

    @property
    def data(self):
        digests = {"train_digest": self._train.digest, "validation_digest": self._validation.digest}
        return {"embedding_dim": self._train.dim, **digests}

    def summary(self):
        return self._train.summary()

    def build(self):
        episodes, training = self._config.episodes, self._config.training
        shape = episodes.num_classes, episodes.num_tr_examples_per_class
        sampler = EpisodeSampler(self._train, *shape, episodes.num_val_examples_per_class)
        model = build_model(self._config, self.data, training.seed)
        self._validator = Evaluator(
            leo_classifier(model),
            EpisodeSampler(self._validation, *shape, training.metavalid_queries or None),
            min(training.metavalid_batch_size, training.metavalid_tasks),
        )
        return model, sampler

    def validate(self):
        training = self._config.training
        scores = self._validator.run(training.seed, randomness.VALIDATION, training.metavalid_tasks)
        return Validation(confidence_interval(scores.accuracy))

    @staticmethod
    def text(value, half_width=None):
        return f"{100 * value:.2f} %" if half_width is None else Interval(value, half_width).percent()


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
