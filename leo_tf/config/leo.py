"""Settings of LEO: those of the paper and of the official code, and the paper's ablations."""

from dataclasses import dataclass

from leo_tf.config.section import Section, count, require, setting, weight

MOST_STEPS = 1000


@dataclass(frozen=True)
class LEOConfig(Section):
    """Settings of a LEO model: adaptation steps, latent size, initial rates, penalty weights, ablations.

    Defaults are those of the official code; the published results need the values in configs/. The paper's ablations
    (table 2) are settings of the same fields, in configs/ablations/.

    References:
      Paper section 2.3 and equations 6-7; B.4 for the steps and initial rates.

    Example:
      >>> leo_tf.LEOConfig(num_latents=16).inner_unroll_length
      5
    """

    group = "LEO"

    inner_unroll_length: int = setting(5, "gradient steps on the latent codes", high=MOST_STEPS)
    finetuning_unroll_length: int = setting(
        5, "gradient steps on the classifier weights, after the latent steps", high=MOST_STEPS
    )
    num_latents: int = count(64, "dimensions of the latent code of a class", high=4096)
    inner_lr_init: float = weight(1.0, "initial learning rate of the latent steps (meta-learned per dimension)")
    finetuning_lr_init: float = weight(
        0.001, "initial learning rate of the fine-tuning steps (meta-learned per dimension)"
    )
    dropout_rate: float = setting(0.5, "probability of dropping an embedding dimension in meta-training", high=0.999)
    kl_weight: float = weight(1e-3, "weight (beta) of KL(q(z|support) || N(0, I))")
    kl: str = setting(
        "sampled",
        "estimate this KL from one sample (official code), or in closed form",
        choices=("sampled", "analytic"),
    )
    encoder_penalty_weight: float = weight(
        1e-9, "weight (gamma) of the squared distance from initial to adapted latent codes"
    )
    l2_penalty_weight: float = weight(1e-8, "weight (lambda 1) of half the squared norm of all weight matrices")
    orthogonality_penalty_weight: float = weight(
        1e-3, "weight (lambda 2) of the correlations between rows of the decoder"
    )
    stochastic: bool = setting(
        True, "sample codes and weights during meta-training; false: use their means, without the KL"
    )
    codes_from: str = setting(
        "encoder",
        "where initial codes come from; prior: N(0, I), which never sees the support",
        choices=("encoder", "prior"),
    )
    codes_per_class: str = setting(
        "example",
        "latent codes sampled per class: one for each support example (official code) or one (paper)",
        choices=("example", "class"),
    )
    first_order: bool = setting(False, "treat the inner gradients as constants in the meta-gradient (first order)")
    inner_gradient_norm_threshold: float = weight(
        0.0, "regression only: clip each task's inner gradient to this norm; 0: no clipping"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.codes_from == "prior":
            require(self.stochastic, self, "stochastic", "true with codes_from=prior, whose codes are noise")
