"""Pre-training as work for the Trainer."""

import keras
import numpy as np
import tensorflow as tf

from leo_tf.errors import InputError
from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.features.images import Loader, find_images, inspect
from leo_tf.features.images.preprocessing import GREY, IMAGENET, Preprocessing
from leo_tf.features.pretrain.batches import COPIES, Batches, hold_out
from leo_tf.features.pretrain.evaluation import FewShotWatch, HeldOut, pooled, without_dropout
from leo_tf.features.pretrain.step import COLUMNS, FeatureSteps, learning_rate
from leo_tf.features.wrn import default_layer, wide_resnet
from leo_tf.problem import Validation
from leo_tf.training.strategy import describe, strategy_of

_ROTATIONS = "rotation_logits"


class Measured:
    """What the best checkpoint of a pre-training run has the best of, as the Trainer and its monitor ask for it.

    Args:
      monitor: "heldout" or "one_shot".
      shots: of the tasks that are watched.
      has_heldout: whether images are held out.
    """

    higher_is_better = True

    def __init__(self, monitor, shots, has_heldout):
        self.measure = "accuracy" if monitor == "heldout" else "one_shot_accuracy"
        self.names = {1: "one_shot_accuracy", 5: "five_shot_accuracy"}
        watched = ["accuracy"] * has_heldout + [self.names[each] for each in shots]
        self.other_measures = tuple(name for name in watched if name != self.measure)

    def advice(self, validation, step, best_step):
        return ""

    @staticmethod
    def text(value, half_width=None):
        return f"{100 * value:.2f} %" if half_width is None else Interval(value, half_width).percent()


class Pretraining:
    """Network, optimizer, images and validation of a PretrainConfig; what a Trainer asks of its work.

    Args:
      config: PretrainConfig.
      collectives: Collectives of many workers, all of which build this work; None for one.

    Raises:
      InputError: the images are missing, damaged, too few, or others than another worker's.
    """

    rates: dict = {}  # noqa: RUF012, none are learned

    def __init__(self, config, collectives=None):
        self.config, self.settings = config, config.training
        self.preprocessing = preprocessing_of(config.images)
        found = images_of(config.images)
        if "train" not in found:
            raise InputError(f"{config.images.images} has no train split; expected images to train on.")
        self._read(found)
        training = self.settings
        if collectives is not None:
            collectives.assert_equal(self.data_record)
        strategy = strategy_of(collectives, training.distribution, training.batch_size, "batch_size")
        replicas = strategy.num_replicas_in_sync
        if training.jit and replicas > 1:
            raise InputError(
                f"jit=True was given with {replicas} replicas, whose batch normalisation is synchronised; expected "
                "jit=False there: XLA cannot compile what replicas say to each other."
            )
        with strategy.scope():
            self.model = build_network(config, self.batches.num_classes, dropout=True, synchronized=replicas > 1)
            self.optimizer = keras.optimizers.SGD(
                learning_rate(training), training.momentum, nesterov=training.momentum > 0
            )
            self.optimizer.build(self.model.trainable_variables)
        self._steps = FeatureSteps(self.model, self.optimizer, strategy, training)
        self._watch(collectives or SINGLE_PROCESS)
        self.state = {"model": self.model, "optimizer": self.optimizer}
        self.columns = COLUMNS
        self._strategy, self._feed, self._next_step = strategy, None, -1

    def _read(self, found):
        images = self.config.images
        loader, squares, inspected = Loader(self.preprocessing), {}, {}
        for split in [name for name in ("train", "val") if name in found]:
            inspected[split], squares[split] = loader.store(
                found[split], split, images.max_unreadable, images.cache_dir
            )
        train = inspected["train"].source
        self.classes = train.classes
        number_of = {name: number for number, name in enumerate(self.classes)}
        labels = np.array([number_of[label] for label in train.labels], np.int32)
        if len(self.classes) < 2:
            raise InputError(f"{images.images} has one class to train on, {self.classes[0]!r}; expected at least 2.")
        held = hold_out(labels, self.settings.heldout_fraction, self.settings.seed)
        # The order of a folder's listing is sorted, so these rows are the same ones at every start.
        self._heldout = squares["train"][held], labels[held]
        kept = squares["train"][~held] if held.any() else squares["train"]
        self.batches = Batches(kept, labels[~held], len(self.classes), self.settings, self.preprocessing)
        self._validation = (inspected["val"].source.labels, squares["val"]) if "val" in found else None
        if self._validation is None and self.settings.monitor == "one_shot":
            raise InputError(
                f"{images.images} has no val split; monitor=one_shot needs one. Give split_fractions, or "
                "monitor=heldout."
            )
        self.data_record = {
            "num_classes": self.batches.num_classes,
            "classes": self.classes,
            "train_digest": found["train"].digest,
            **({"validation_digest": found["val"].digest} if "val" in found else {}),
        }
        self._summary = "; ".join(
            f"{split} {len(each.source.classes)} classes, {len(each.source)} images"
            for split, each in inspected.items()
        )

    def _watch(self, workers):
        training = self.settings
        logits = keras.Model(self.model.inputs, self.model.outputs[0])
        features = pooled(self.model, default_layer(self.config.network))
        squares, labels = self._heldout
        self._heldout_accuracy = None
        if len(labels):
            copies = COPIES[training.class_copies]
            self._heldout_accuracy = HeldOut(
                *(without_dropout(logits), squares, labels, len(self.classes), copies, self.preprocessing, workers)
            )
        self._few_shot = None
        if self._validation is not None:
            names, images = self._validation
            self._few_shot = FewShotWatch(
                without_dropout(features), images, names, self.preprocessing, training, workers
            )
        self.measured = Measured(training.monitor, self._few_shot.shots if self._few_shot else (), len(labels) > 0)

    def validate(self):
        """Judge the network as it is now; return a Validation."""
        found = {}
        if self._heldout_accuracy:
            found["accuracy"] = self._heldout_accuracy()
        if self._few_shot:
            found |= {self.measured.names[shots]: values for shots, values in self._few_shot().items()}
        interval = confidence_interval(found[self.measured.measure])
        others = {name: float(found[name].mean()) for name in self.measured.other_measures if name in found}
        return Validation(interval, others)

    def summary(self):
        """Return one line on the images and the network."""
        network = self.config.network
        size = sum(int(np.prod(v.shape)) for v in self.model.trainable_variables)
        return (
            f"WRN-{network.depth}-{network.width}, {size:,} parameters, {self.batches.num_classes} classes; "
            f"{self._summary}; {len(self._heldout[1])} held out"
        )

    @property
    def variables(self):
        """All trainable variables by name."""
        return {v.path: v for v in self.model.trainable_variables}

    @property
    def outer_lr(self):
        """The learning rate at this step, float."""
        return float(tf.convert_to_tensor(self.optimizer.learning_rate))

    def devices(self):
        """Say in one line what the run computes on and how."""
        line = f"{describe(self._strategy)}, {self.settings.precision}, XLA {'on' if self.settings.jit else 'off'}"
        return line.replace("meta-batch", "batch")

    @property
    def steps_taken(self):
        """Steps since the run's beginning, int."""
        return int(self.optimizer.iterations.numpy())

    def step(self, count):
        """Take `count` steps.

        Returns:
          Means over the steps of `columns`, floats, and `gradient_norms`, a NumPy array [variables].
        """
        first = self.steps_taken
        if self._feed is None or first != self._next_step:  # at the start, or after a checkpoint was restored
            self._feed = iter(self.batches.dataset(first))
        outcomes = [self._steps.run(*next(self._feed)) for _ in range(count)]
        self._next_step = first + count
        means = {name: np.mean([each[name].numpy() for each in outcomes], axis=0) for name in outcomes[0]}
        return {name: float(v) if name != "gradient_norms" else v for name, v in means.items()}


def preprocessing_of(images):
    """Return the Preprocessing that an ImageConfig describes."""
    mean, scale = GREY if images.color == "grey" else IMAGENET
    return Preprocessing(images.square_size, images.image_size, images.color, mean, scale, images.crop)


def images_of(images):
    """Find and inspect the images of an ImageConfig.

    Returns:
      {split: Inspected}.

    Raises:
      InputError: as `find_images` and `inspect`.
    """
    if not images.images:
        raise InputError("images is empty; expected the folder of the images.")
    found = find_images(images.images, images.split_fractions, images.split_seed)
    return inspect(found.splits, images.max_unreadable)


def build_network(config, num_classes, dropout, synchronized=False, dtype=None):
    """Build the network of a PretrainConfig."""
    training, preprocessing = config.training, preprocessing_of(config.images)
    return wide_resnet(
        config.network,
        preprocessing.image_size,
        preprocessing.channels,
        num_classes,
        dropout=dropout and config.network.dropout_rate > 0,
        seed=training.seed % 2**20,
        synchronized=synchronized,
        dtype=dtype or training.precision,
        extra={_ROTATIONS: 4} if training.rotation_loss_weight else None,
    )
