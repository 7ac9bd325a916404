"""What defines a LEO."""

from dataclasses import dataclass

from leo_tf.config.section import Section, count, require, setting, weight

CODE_SOURCES = ("encoder", "prior")
DECODER_INITS = ("glorot", "zero")
QUERY_DROPOUTS = ("all", "none", "easy")
TRANSFORMS = ("none", "center", "whiten", "plda")
CODES_PER_CLASS = ("example", "class")
KL_KINDS = ("sampled", "analytic")
MOST_STEPS = 1000


@dataclass(frozen=True)
class LEOConfig(Section):
    """What defines the model: adaptation steps, latent size, initial rates, the weights of the penalties, ablations.

    Defaults are those of the official code; the published results need the values in configs/. The paper's ablations
    (table 2) are settings of the same fields, in configs/ablations/.

    References:
      Paper section 2.3 and equations 6-7; B.4 for the steps and initial rates.

    Example:
      >>> leo_tf.LEOConfig(num_latents=16).inner_unroll_length
      5
    """

    group = "LEO"

    inner_unroll_length: int = setting(
        5, "gradient steps on the latent codes", high=MOST_STEPS, expected="a whole number of at least 0, at most 1000"
    )
    finetuning_unroll_length: int = setting(
        5,
        "gradient steps on the classifier weights, after the latent steps",
        high=MOST_STEPS,
        expected="a whole number of at least 0, at most 1000",
    )
    num_latents: int = count(64, "dimensions of the latent code of a class", high=4096)
    inner_lr_init: float = weight(1.0, "initial learning rate of the latent steps (meta-learned per dimension)")
    finetuning_lr_init: float = weight(0.001, "initial learning rate of the fine-tuning steps (meta-learned)")
    dropout_rate: float = setting(
        0.5,
        "probability of dropping an embedding dimension while meta-training",
        high=0.999,
        expected="a probability in [0, 0.999]",
    )
    query_dropout: str = setting(
        "all",
        "whether dropout takes dimensions of queries too: all (official code); none; or easy: all if scaled class "
        "means are right for 97 % of validation queries, else none; easy needs prototype_scale=0; none and easy "
        "are beyond the paper",
        choices=QUERY_DROPOUTS,
    )
    kl_weight: float = weight(1e-3, "weight (beta) of KL(q(z|support) || N(0, I))")
    kl: str = setting("sampled", "this KL: from one sample (official code), or in closed form", choices=KL_KINDS)
    encoder_penalty_weight: float = weight(1e-9, "weight (gamma) of the distance from initial to adapted codes")
    l2_penalty_weight: float = weight(1e-8, "weight (lambda 1) of the halved squared norm of all matrices")
    orthogonality_penalty_weight: float = weight(1e-3, "weight (lambda 2) of the decoder's row correlations")
    stochastic: bool = setting(True, "sample codes and weights while meta-training; false: their means, and no KL")
    codes_from: str = setting(
        "encoder",
        "where initial codes come from; prior: N(0, I), which never sees the support",
        choices=CODE_SOURCES,
    )
    codes_per_class: str = setting(
        "example",
        "codes sampled for a class: one for each support example (official code) or one (paper)",
        choices=CODES_PER_CLASS,
    )
    feature_transform: str = setting(
        "none",
        "what is done to embeddings, fitted on the meta-training classes: center; whiten within classes; plda, which "
        "also weighs directions by how much classes differ along them; beyond the paper",
        choices=TRANSFORMS,
    )
    within_class_shrinkage: float = setting(
        0.3,
        "share of the mean variance within classes that whiten and plda add to every direction's; 0: chosen on "
        "validation tasks",
        high=1e6,
        expected="a number from 0 to 1e6",
    )
    between_class_shrinkage: float = setting(
        0.3,
        "share of the mean variance between classes that plda adds to every direction's; 0: chosen on validation tasks",
        high=1e6,
        expected="a number from 0 to 1e6",
    )
    prototype_residual: bool = setting(
        False, "add what is decoded to the scaled class means of the support, less their mean; beyond the paper"
    )
    prototype_scale: float = setting(
        10.0,
        "initial scale of these means (meta-learned); 0: chosen on validation tasks",
        high=1e6,
        expected="a number from 0 to 1e6",
    )
    warmup_steps: int = count(
        0,
        "first steps, in which a factor of this scale for each dimension is all that learns; training then begins "
        "anew without them, and the best is kept; beyond the paper",
        low=0,
    )
    prototype_bias: float = weight(
        0.0,
        "share of the bias -|mean|^2 / 2 that makes the class means those of least distance (1); a constant joins the "
        "transformed embeddings for it; 0: none; beyond the paper",
    )
    support_temperature: float = setting(
        1.0,
        "what logits of the support are divided by in the inner loops (meta-learned, unless it is 1); 0: chosen on "
        "validation tasks, with the initial rate of fine-tuning and whether a bias has it too; beyond the paper",
        high=1e6,
        expected="a number from 0 to 1e6",
    )
    decoder_init: str = setting(
        "glorot",
        "initial mean weights of the decoder; zero: training starts from the class means alone, beyond the paper",
        choices=DECODER_INITS,
    )
    first_order: bool = setting(False, "hold the inner gradients constant in the meta-gradient")
    inner_gradient_norm_threshold: float = weight(
        0.0, "regression only: largest norm of a task's inner gradient; 0: no limit"
    )

    def __post_init__(self):
        super().__post_init__()
        if self.codes_from == "prior":
            require(self.stochastic, self, "stochastic", "true with codes_from=prior, whose codes are noise")
        if not self.prototype_residual:
            without = "{} without prototype_residual"
            require(not self.warmup_steps, self, "warmup_steps", without.format("0"))
            require(self.decoder_init != "zero", self, "decoder_init", without.format("glorot"))
        if self.prototype_bias:
            has_both = self.prototype_residual and self.feature_transform != "none"
            require(has_both, self, "prototype_bias", "0 without prototype_residual and an feature_transform")
        if self.prototype_residual and not self.prototype_scale:
            require(
                self._whitens,
                self,
                "prototype_scale",
                "a number above 0, unless feature_transform is whiten or plda",
            )
        if self.query_dropout == "easy":
            chosen = self.prototype_residual and not self.prototype_scale
            require(chosen, self, "query_dropout", "all or none, unless prototype_scale is 0 with a prototype_residual")
        if not self.support_temperature:
            chosen = self.prototype_residual and not self.prototype_scale and self.finetuning_unroll_length > 0
            require(
                chosen,
                self,
                "support_temperature",
                "a number above 0 (1: none), unless prototype_scale is 0 with a prototype_residual and there are "
                "fine-tuning steps",
            )
            rate = type(self).finetuning_lr_init
            require(
                self.finetuning_lr_init == rate,
                self,
                "finetuning_lr_init",
                f"{rate:g}, its default, with support_temperature=0, which has it chosen (1: there is no temperature)",
            )

    @property
    def _whitens(self):
        return self.feature_transform in ("whiten", "plda")

    @property
    def chosen_at_start(self):
        """Names of the settings whose values validation tasks choose before training, a tuple."""
        left = {
            "within_class_shrinkage": self._whitens and not self.within_class_shrinkage,
            "between_class_shrinkage": self.feature_transform == "plda" and not self.between_class_shrinkage,
            "prototype_scale": self.prototype_residual and not self.prototype_scale,
            "support_temperature": not self.support_temperature,
        }
        return tuple(name for name, is_left in left.items() if is_left)

    def copies(self, shots):
        """Return the number of codes that a class of `shots` support examples has."""
        return shots if self.codes_per_class == "example" else 1
