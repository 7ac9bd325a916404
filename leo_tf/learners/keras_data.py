"""Episodes in what Keras' `fit`, `evaluate` and `predict` take."""

from typing import Any

import keras
import tensorflow as tf

from leo_tf.errors import InputError


class _Inputs(keras.utils.PyDataset):
    """A PyDataset whose batches are inputs alone: Keras would take an episode's four fields for targets and weights."""

    def __init__(self, dataset: Any) -> None:
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self._dataset = dataset
        self.on_epoch_begin, self.on_epoch_end = dataset.on_epoch_begin, dataset.on_epoch_end

    def __getitem__(self, index: int) -> tuple[Any]:
        return (self._dataset[index],)

    @property
    def num_batches(self) -> int | None:
        return self._dataset.num_batches


def keras_data(data: Any) -> Any:
    """Return data for Keras, whose elements may be episodes."""
    return _Inputs(data) if isinstance(data, keras.utils.PyDataset) else data


def episode_of(data: Any, spec: Any, training: bool = False) -> Any:
    """Return the episode in the data of a Keras step.

    Args:
      data: an episode, or, as Keras packs inputs, (episode,) or (episode, None, None).
      spec: episode of the TensorSpecs that its fields must fit.
      training: whether all sizes but the number of tasks must be static.

    Raises:
      InputError: data is not an episode of these shapes, or not of static ones.
    """
    while isinstance(data, tuple | list) and data and all(part is None for part in data[1:]):
        data = data[0]
    fields = list(data) if isinstance(data, tuple | list) else [data]
    shapes: list[Any] = [getattr(field, "shape", None) for field in fields]
    if len(fields) == len(spec) and all(map(_fits, shapes, spec)):
        if training and any(None in tuple(shape)[1:] for shape in shapes):
            raise InputError(
                f"fit got episodes of shapes {_shown(shapes)}; expected static sizes, except for the number of tasks. "
                "Give all tasks of a fit the same ways, shots and queries. Before a fit on others, call "
                "model.make_train_function(force=True)."
            )
        return type(spec)(*(tf.cast(field, each.dtype) for field, each in zip(fields, spec, strict=True)))
    received = f"arrays of shapes {_shown(shapes)}" if any(shapes) else f"a {type(data).__name__}"
    expected = ", ".join(f"{name} {tuple(field.shape)}" for name, field in spec._asdict().items())
    raise InputError(
        f"The model got {received}; expected tasks as {type(spec).__name__}({expected}): one batch, or a "
        "tf.data.Dataset, generator or PyDataset of batches."
    )


def _fits(shape: Any, spec: Any) -> bool:
    return shape is not None and spec.shape.is_compatible_with(shape)


def _shown(shapes: Any) -> str:
    return ", ".join(str(None if shape is None else tuple(shape)) for shape in shapes)
