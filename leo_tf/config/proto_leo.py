"""Settings of ProtoLEO, beside those of LEO."""

from dataclasses import dataclass, fields

from leo_tf.config.section import AUTO, Section, number_or_auto, setting, weight


@dataclass(frozen=True)
class ProtoLEOConfig(Section):
    """Settings of what ProtoLEO adds to LEO: PLDA, its correction by training, and the fit to the support.

    Settings that are "auto" are chosen on validation tasks before training (`Problem.initialize`).

    Example:
      >>> leo_tf.ProtoLEOConfig(between_class_shrinkage=1).auto_settings
      ('within_class_shrinkage', 'fit_scale')
    """

    group = "ProtoLEO"

    within_class_shrinkage: float | str = number_or_auto(
        "PLDA adds this share of the mean within-class variance to every direction's variance"
    )
    between_class_shrinkage: float | str = number_or_auto(
        "PLDA adds this share of the mean between-class variance to every axis"
    )
    fit_scale: float | str = number_or_auto(
        "scale of the initial classifier's logits in the convex fit to the support; auto: chosen for 1, 5 and 20 "
        "shots, and interpolated between them"
    )
    fit_penalty: float = weight(0.05, "factor of half the squared norm of the convex fit's weights; 0: no convex fit")
    latent_codes: bool = setting(False, "correct the classifier of PLDA by latent codes too, as LEO does")

    @property
    def auto_settings(self) -> tuple[str, ...]:
        """Names of the settings that are chosen on validation tasks."""
        unused = () if self.fit_penalty else ("fit_scale",)
        return tuple(each.name for each in fields(self) if getattr(self, each.name) == AUTO and each.name not in unused)
