"""Pre-training as work for the Trainer."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from leo_tf.errors import InputError
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.features.images import Loader, Preprocessing, find_images, inspect
from leo_tf.features.pretrain.batches import Batches, hold_out
from leo_tf.features.pretrain.evaluation import Evaluation
from leo_tf.features.pretrain.step import COLUMNS, FeatureSteps, learning_rate
from leo_tf.features.settings import PretrainConfig
from leo_tf.features.wrn import build_network
from leo_tf.training.strategy import describe, make_strategy
from leo_tf.training.work import Work


class Pretraining(Work):
    """The network, optimizer, images and validation of a PretrainConfig; `collectives` is None for one worker."""

    columns = COLUMNS

    def __init__(self, config: PretrainConfig, collectives: Any = None) -> None:
        self.config, self.settings = config, config.training
        self.preprocessing = Preprocessing.of_config(config.images)
        self._read()
        workers, training = collectives or SINGLE_PROCESS, self.settings
        workers.assert_equal(self.data_record)
        self._strategy = make_strategy(training.distribution, training.batch_size, "batch_size", collectives)
        replicas = self._strategy.num_replicas_in_sync
        if training.jit and replicas > 1:
            raise InputError(
                f"jit=True was given with {replicas} replicas, which synchronise batch normalisation; expected "
                "jit=False there: XLA cannot compile communication between replicas.",
                "jit",
            )
        with self._strategy.scope():
            self.model = build_network(config, self.batches.num_classes, dropout=True, synchronized=replicas > 1)
            self.optimizer = keras.optimizers.SGD(
                learning_rate(training), training.momentum, nesterov=training.momentum > 0
            )
            self.optimizer.build(self.model.trainable_variables)
        self.state = {"model": self.model, "optimizer": self.optimizer}
        self._steps = FeatureSteps(self.model, self.optimizer, self._strategy, training)
        self.measured = Evaluation(config, self.model, self._heldout, self._validation, workers)
        self.validate = self.measured.validate
        self._feed: Iterator | None = None
        self._next_step = -1

    def _read(self) -> None:
        images = self.config.images
        if not images.images:
            raise InputError("images is empty; expected the folder of the images.", "images")
        listed = find_images(images.images, images.split_fractions, images.split_seed)
        found = inspect(listed.splits, images.max_unreadable)
        if "train" not in found:
            raise InputError(f"{images.images} has no train split; expected images to train on.", "images")
        loader, squares, inspected = Loader(self.preprocessing), {}, {}
        for split in [name for name in ("train", "val") if name in found]:
            inspected[split], squares[split] = loader.load_cached(
                found[split], split, images.max_unreadable, images.cache_dir
            )
        train = inspected["train"].source
        self.classes = train.classes
        if len(self.classes) < 2:
            raise InputError(
                f"{images.images} has one class to train on, {self.classes[0]!r}; expected at least 2.", "images"
            )
        labels = np.unique(train.labels, return_inverse=True)[1].astype(np.int32)
        held = hold_out(labels, self.settings.heldout_fraction, self.settings.seed)
        # A folder's listing is sorted, so these rows are the same at every start.
        self._heldout = squares["train"][held], labels[held]
        kept = squares["train"][~held] if held.any() else squares["train"]
        self.batches = Batches(kept, labels[~held], len(self.classes), self.settings, self.preprocessing)
        self._validation = (squares["val"], inspected["val"].source.labels) if "val" in found else None
        if self._validation is None and self.settings.monitor == "one_shot":
            raise InputError(
                f"{images.images} has no val split; monitor=one_shot needs one. Give split_fractions, or "
                "monitor=heldout.",
                *("split_fractions", "monitor"),
            )
        self.data_record = {
            "num_classes": self.batches.num_classes,
            "classes": self.classes,
            "train_digest": found["train"].digest,
            **({"validation_digest": found["val"].digest} if "val" in found else {}),
        }
        self._summary = listed._replace(splits={split: each.source for split, each in inspected.items()}).summary()

    def summary(self) -> str:
        """Return one line on the images and the network."""
        network = self.config.network
        size = sum(int(np.prod(v.shape)) for v in self.model.trainable_variables)
        return (
            f"WRN-{network.depth}-{network.width}, {size:,} parameters, {self.batches.num_classes} classes; "
            f"{self._summary}; {len(self._heldout[1])} held out"
        )

    @property
    def variables(self) -> Mapping[str, Any]:
        return {v.path: v for v in self.model.trainable_variables}

    def devices(self) -> str:
        """Return one line on the devices and the precision."""
        line = f"{describe(self._strategy)}, {self.settings.precision}, XLA {'on' if self.settings.jit else 'off'}"
        return line.replace("meta-batch", "batch")

    def step(self, count: int) -> dict[str, Any]:
        first = self.steps_taken
        if self._feed is None or first != self._next_step:  # at the start, or after a checkpoint was restored
            self._feed = iter(self.batches.dataset(first))
        outcomes = [self._steps.run(*next(self._feed)) for _ in range(count)]
        self._next_step = first + count
        means = {name: np.mean([each[name].numpy() for each in outcomes], axis=0) for name in outcomes[0]}
        return {name: float(v) if name != "gradient_norms" else v for name, v in means.items()}
