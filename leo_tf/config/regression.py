"""Few-shot regression."""

from dataclasses import dataclass

from leo_tf.config.section import Section, count, setting, weight

_MOST_UNITS = 4096


def _units(default, help_text):
    return count(default, help_text, high=_MOST_UNITS)


def _layers(default, help_text):
    return count(default, help_text, high=20)


@dataclass(frozen=True)
class RegressionConfig(Section):
    """Few-shot regression: the networks, and the noise of the targets. The relation network has three layers.

    Defaults are the paper's, where it gives them; configs/regression.cfg has what works best here.

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
    noise_stddev: float = weight(0.3, "standard deviation of the noise on all targets")
