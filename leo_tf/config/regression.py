"""Few-shot regression."""

from dataclasses import dataclass

from leo_tf.config.section import Section, count, require, setting, weight

LOSSES = ("squared_error", "energy_score")
_MOST_UNITS = 4096
_MOST_CODES = 1000


def _units(default, help_text):
    return count(default, help_text, high=_MOST_UNITS)


def _layers(default, help_text):
    return count(default, help_text, high=20)


@dataclass(frozen=True)
class RegressionConfig(Section):
    """Few-shot regression: the networks, the loss, the noise of the targets. The relation network has three layers.

    Defaults are the paper's, where it gives them; configs/regression.cfg has what works best here. Those beyond the
    paper are for samples whose spread can be believed: docs/regression.md.

    References:
      Paper section 4.1 and appendix A. The table there says 16 units for the encoder, the text 32.
    """

    group = "Regression"

    network_units: int = _units(40, "units of the hidden layers of the network that a code is decoded to")
    network_layers: int = _layers(3, "layers of this network, the output included")
    encoder_units: int = _units(32, "units of the encoder's hidden layers")
    encoder_layers: int = _layers(3, "layers of the encoder, its output, num_latents wide, included")
    relation_units: int = _units(32, "units of the relation network's hidden layers")
    decoder_units: int = _units(32, "units of the decoder's hidden layers")
    decoder_layers: int = _layers(3, "layers of the decoder, its output included")
    biases: bool = setting(True, "biases in encoder and decoder; the last is where the decoded network starts")
    weight_spread: float = weight(0.1, "initial spread of decoded weights, as a multiple of Glorot's")
    code_spread: float = weight(1.0, "initial standard deviation of a task's code, where its encoder says 0")
    noise_stddev: float = weight(0.3, "standard deviation of the noise on all targets")
    training_loss: str = setting(
        "squared_error",
        "what training judges sampled functions by: squared_error (paper) charges for spread; energy_score, of two "
        "samples a task or more, rewards the right spread; beyond the paper",
        choices=LOSSES,
    )
    score_width: float = weight(
        0.0,
        "standard deviation, in inputs, of the Gaussian average over neighbouring query points that the energy score "
        "compares functions after, in which the noise is less; 0: none; beyond the paper",
    )
    training_samples: int = count(
        1, "functions sampled for each task in training, each with codes of its own; beyond the paper", high=1000
    )
    code_components: int = count(
        1,
        "Gaussians in the mixture that a code is drawn from, for families between which there is nothing; beyond the "
        "paper",
        high=100,
    )
    code_candidates: int = count(
        1,
        "codes drawn of each component for a sample; all are adapted, then one is chosen; more than 1 needs a "
        "candidate_temperature; beyond the paper",
        high=100,
    )
    candidate_temperature: float = weight(
        0.0,
        "candidates are chosen by how likely they make the support's targets, their log-likelihoods divided by this; "
        "0: by the shares of their components alone; beyond the paper",
    )
    sampling_temperature: float = weight(
        0.0, "as candidate_temperature, for functions sampled outside of training; 0: the same; beyond the paper"
    )

    def __post_init__(self):
        super().__post_init__()
        scored = self.training_loss == "energy_score"
        require(self.training_samples > 1 or not scored, self, "training_samples", "at least 2 with the energy_score")
        require(
            self.code_candidates == 1 or self.candidate_temperature > 0,
            self,
            "code_candidates",
            "1 without a candidate_temperature",
        )
        what = "0 where there is one candidate, or no noise_stddev to be likely by"
        can_choose = self.candidates > 1 and self.noise_stddev > 0
        require(can_choose or not self.candidate_temperature, self, "candidate_temperature", what)
        what = "0 without a candidate_temperature"
        require(self.candidate_temperature or not self.sampling_temperature, self, "sampling_temperature", what)
        what = f"at most {_MOST_CODES} codes a task, and each sample has {self.candidates}"
        require(self.training_samples * self.candidates <= _MOST_CODES, self, "training_samples", what)

    @property
    def candidates(self):
        """How many codes a sample is chosen among."""
        return self.code_components * self.code_candidates

    def require_one_sample(self):
        """Raise InputError unless training takes one sample a task, as it must where samples do not differ."""
        for field in (
            "training_loss",
            "training_samples",
            "code_components",
            "code_candidates",
            "candidate_temperature",
            "sampling_temperature",
        ):
            default = type(self).__dataclass_fields__[field].default
            expected = f"{default} with models that sample nothing (stochastic=false, maml, metasgd)"
            require(getattr(self, field) == default, self, field, expected)
