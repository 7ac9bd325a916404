"""Settings of MAML and Meta-SGD."""

from dataclasses import dataclass, field, fields
from typing import Any

from leo_tf.config.leo import MOST_STEPS, LEOConfig
from leo_tf.config.section import Section, setting

_OF_LEO = {each.name: each for each in fields(LEOConfig)}


def _as_leo(name: str) -> Any:
    """Declare a field with the same meaning as in LEOConfig; one flag sets both."""
    return field(default=_OF_LEO[name].default, metadata=_OF_LEO[name].metadata)


@dataclass(frozen=True)
class MAMLConfig(Section):
    """Settings of MAML and Meta-SGD, which adapt meta-learned initial weights without a latent space.

    References:
      Finn et al., "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", ICML 2017.
      Li et al., "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning", 2017.

    Example:
      >>> leo_tf.RunConfig(leo_tf.MAMLConfig(maml_steps=5), algorithm="metasgd").model.maml_lr
      1.0
    """

    group = "Meta-learners"

    maml_steps: int = setting(10, "gradient steps of MAML and Meta-SGD on the classifier weights", high=MOST_STEPS)
    maml_lr: float = setting(
        1.0,
        "learning rate of these steps: fixed in MAML, the initial value of the meta-learned rates in Meta-SGD",
        low=1e-30,
        high=1e30,
        expected="a finite number above 0",
    )
    dropout_rate: float = _as_leo("dropout_rate")
    l2_penalty_weight: float = _as_leo("l2_penalty_weight")
    first_order: bool = _as_leo("first_order")
    inner_gradient_norm_threshold: float = _as_leo("inner_gradient_norm_threshold")
