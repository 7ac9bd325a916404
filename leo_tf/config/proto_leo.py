"""Settings of ProtoLEO, beside those of LEO."""

from dataclasses import dataclass, fields

from leo_tf.config.section import AUTO, Section, count, number_or_auto, setting, weight

TRANSFORMS = ("none", "center", "whiten", "plda")


@dataclass(frozen=True)
class ProtoLEOConfig(Section):
    """Settings of what ProtoLEO adds to LEO: the feature transform, class prototypes, warm-up.

    Settings that are "auto" are chosen on validation tasks before training (`Problem.initialize`). Every combination
    of values is valid; one that does not apply, such as a shrinkage without a transform that uses it, has no effect.

    Example:
      >>> leo_tf.ProtoLEOConfig(prototype_scale=10).auto_settings
      ('within_class_shrinkage', 'between_class_shrinkage', 'support_temperature', 'query_dropout')
    """

    group = "ProtoLEO"

    feature_transform: str = setting(
        "plda",
        "transform of the embeddings, fitted on the meta-training classes: center; whiten within classes; plda, which "
        "also weights directions by how much classes differ along them",
        choices=TRANSFORMS,
    )
    within_class_shrinkage: float | str = number_or_auto(
        "whiten and plda add this share of the mean within-class variance to every direction's variance"
    )
    between_class_shrinkage: float | str = number_or_auto(
        "plda adds this share of the mean between-class variance to every direction's variance"
    )
    prototype_scale: float | str = number_or_auto("initial scale of the class prototypes (meta-learned)")
    prototype_bias: float = weight(
        0.75,
        "share of the bias -|prototype|^2 / 2: with 1 the initial classifier is nearest class mean by Euclidean "
        "distance, with 0 it compares directions only and there is no bias",
    )
    support_temperature: float | str = number_or_auto(
        "temperature that divides the support's logits in the inner loops (meta-learned unless 1); auto also chooses "
        "the initial fine-tuning rate"
    )
    warmup_steps: int = count(
        500,
        "warm-up steps that train only the per-dimension prototype scales; LEO then trains from scratch, and the best "
        "state on validation tasks is kept",
        low=0,
    )
    query_dropout: str = setting(
        AUTO,
        "apply dropout to queries too during meta-training; auto: only where the prototypes alone classify 97 % of "
        "validation queries correctly",
        choices=(AUTO, "all", "none"),
    )

    @property
    def auto_settings(self) -> tuple[str, ...]:
        """Names of the settings that are chosen on validation tasks."""
        unused: tuple[str, ...] = () if self.feature_transform == "plda" else ("between_class_shrinkage",)
        unused += ("within_class_shrinkage",) if self.feature_transform in ("none", "center") else ()
        return tuple(each.name for each in fields(self) if getattr(self, each.name) == AUTO and each.name not in unused)
