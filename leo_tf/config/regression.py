"""Settings of few-shot regression."""

from dataclasses import dataclass

from leo_tf.config.section import Section, count, require, setting, weight

_MOST_UNITS, _MOST_LAYERS, _MOST_CODES = 4096, 20, 1000


@dataclass(frozen=True)
class RegressionConfig(Section):
    """Settings of few-shot regression: networks, loss, target noise. The relation network has three layers.

    Defaults are the paper's, where it gives them; configs/regression.cfg has what works best here. The settings beyond
    the paper make sampled functions calibrated: docs/regression.md.

    References:
      Paper section 4.1 and appendix A. The table there says 16 units for the encoder, the text 32.
    """

    group = "Regression"

    network_units: int = count(40, "hidden units of the network that a code is decoded to", high=_MOST_UNITS)
    network_layers: int = count(3, "layers of this network, including the output layer", high=_MOST_LAYERS)
    encoder_units: int = count(32, "hidden units of the encoder", high=_MOST_UNITS)
    encoder_layers: int = count(
        3, "layers of the encoder, including the output layer of num_latents units", high=_MOST_LAYERS
    )
    relation_units: int = count(32, "hidden units of the relation network", high=_MOST_UNITS)
    decoder_units: int = count(32, "hidden units of the decoder", high=_MOST_UNITS)
    decoder_layers: int = count(3, "layers of the decoder, including the output layer", high=_MOST_LAYERS)
    biases: bool = setting(
        True,
        "use biases in encoder and decoder; that of the decoder's last layer starts as a random network",
    )
    weight_spread: float = weight(0.1, "initial standard deviation of decoded weights, as a multiple of Glorot's")
    code_spread: float = weight(
        1.0, "initial standard deviation of codes, where the output of the encoder's last layer is 0"
    )
    noise_stddev: float = weight(0.3, "standard deviation of the noise on the targets")
    training_loss: str = setting(
        "squared_error",
        "loss of sampled functions: squared_error (paper) penalises spread; energy_score, of at least two samples per "
        "task, rewards calibrated spread (beyond the paper)",
        choices=("squared_error", "energy_score"),
    )
    score_width: float = weight(
        0.0,
        "bandwidth, in units of the inputs, of a Gaussian smoothing over query points before the energy score, which "
        "averages out noise; 0: no smoothing (beyond the paper)",
    )
    training_samples: int = count(
        1, "functions sampled per task in training, each with its own code (beyond the paper)", high=1000
    )
    code_components: int = count(
        1,
        "components of the Gaussian mixture that codes are drawn from, for distinct families of functions (beyond the "
        "paper)",
        high=100,
    )
    code_candidates: int = count(
        1,
        "codes drawn per component for each sample; all are adapted, then one is chosen; more than 1 needs a "
        "candidate_temperature (beyond the paper)",
        high=100,
    )
    candidate_temperature: float = weight(
        0.0,
        "temperature of the choice among candidates by their log-likelihood of the support's targets; 0: choose by the "
        "components' shares alone (beyond the paper)",
    )
    sampling_temperature: float = weight(
        0.0, "candidate_temperature outside of training; 0: the same as in training (beyond the paper)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        scored = self.training_loss == "energy_score"
        require(self.training_samples > 1 or not scored, self, "training_samples", "at least 2 with the energy_score")
        what = "1 without a candidate_temperature"
        require(self.code_candidates == 1 or self.candidate_temperature > 0, self, "code_candidates", what)
        what = "0 with one candidate, or with noise_stddev=0"
        can_choose = self.candidates > 1 and self.noise_stddev > 0
        require(can_choose or not self.candidate_temperature, self, "candidate_temperature", what)
        what = "0 without a candidate_temperature"
        require(self.candidate_temperature or not self.sampling_temperature, self, "sampling_temperature", what)
        codes = self.training_samples * self.candidates
        what = f"at most {_MOST_CODES} codes per task; with {self.candidates} per sample these settings need {codes}"
        require(codes <= _MOST_CODES, self, "training_samples", what)

    @property
    def candidates(self) -> int:
        """Number of codes that a sample is chosen from."""
        return self.code_components * self.code_candidates

    def require_one_sample(self) -> None:
        """Raise InputError unless training takes one sample per task, as it must for deterministic models."""
        names = (
            "training_loss training_samples code_components code_candidates candidate_temperature sampling_temperature"
        )
        for name in names.split():
            default = getattr(type(self), name)
            expected = f"{default} with deterministic models (stochastic=false, maml, metasgd)"
            require(getattr(self, name) == default, self, name, expected)
