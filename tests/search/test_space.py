"""Search spaces, and the errors that name what is wrong with them."""

from pathlib import Path

import pytest

from leo_tf import InputError, LEOConfig, RunConfig
from leo_tf.config import EpisodeConfig, MAMLConfig
from leo_tf.search.space import Choices, Range, read_space

CONFIGS = Path(__file__).parents[2] / "configs"


def read(folder, text, config=None):
    path = folder / "space.toml"
    path.write_text(text)
    return read_space(path, config or RunConfig())


def test_ranges_and_choices_have_the_types_of_their_settings(tmp_path):
    text = (
        "[outer_lr]\nlow=1e-4\nhigh=1\nscale='log'\n[num_latents]\nlow=2\nhigh=8\n[kl]\nchoices=['sampled','analytic']"
    )
    space = read(tmp_path, text)
    assert space.settings == {
        "outer_lr": Range(1e-4, 1, "log"),
        "num_latents": Range(2, 8),
        "kl": Choices(("sampled", "analytic")),
    }
    assert space.types == {"outer_lr": float, "num_latents": int, "kl": str}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[leanring_rate]\nlow=1\nhigh=2", r"has \[leanring_rate\], which is not a setting to search"),
        ("[seed]\nlow=1\nhigh=2", r"\[seed\], which is not a setting to search"),
        ("[outer_lr]\nlow=1e-3\nhigh=1e-4", "low=0.001 high=0.0001; expected numbers, low below high"),
        ("[outer_lr]\nlow=1e-3\nhigh=1e-3", "low below high"),
        ("[outer_lr]\nlow='a'\nhigh=1", "expected numbers"),
        ("[outer_lr]\nlow=nan\nhigh=1", "expected numbers"),
        ("[outer_lr]\nlow=0.1", "with low; expected low, high and scale, or choices"),
        ("[outer_lr]\nlow=0.1\nhigh=1\nscale='cubic'", "scale='cubic'; expected uniform or log"),
        ("[kl_weight]\nlow=0\nhigh=1\nscale='log'", "expected low above 0"),
        ("[num_latents]\nlow=1.5\nhigh=3", "expected whole numbers"),
        ("[dropout_rate]\nlow=0.5\nhigh=1.5", "with 1.5, which a run refuses: dropout_rate=1.5"),
        ("[stochastic]\nlow=0\nhigh=1", "with a range; expected choices"),
        ("[kl]\nchoices=['sampled','exact']", "with 'exact', which a run refuses"),
        ("[kl]\nchoices=['sampled']", "at least 2 different values"),
        ("kl=3", "= 3; expected a table"),
        ("[kl", "is not TOML"),
        ("", "is empty"),
    ],
)
def test_errors_are_named_before_any_trial(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def test_settings_that_are_auto_take_ranges_and_choices(tmp_path):
    config = RunConfig(algorithm="proto_leo")
    text = "[within_class_shrinkage]\nlow=5\nhigh=20\n[fit_scale]\nchoices=['auto', 2.0]\n[fit_penalty]\nlow=0\nhigh=9"
    space = read(tmp_path, text, config)
    assert space.types == {"within_class_shrinkage": float, "fit_scale": float, "fit_penalty": float}
    assert config.with_settings({"fit_scale": 7.5}).proto_leo.fit_scale == 7.5
    with pytest.raises(InputError, match=r"\[latent_codes\] with a range; expected choices"):
        read(tmp_path, "[latent_codes]\nlow=0\nhigh=1", config)
    with pytest.raises(InputError, match=r"\[within_class_shrinkage\], which is not a setting to search"):
        read(tmp_path, text)  # LEO has no PLDA


def test_missing_space_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="Cannot read the space"):
        read_space(tmp_path / "none.toml", RunConfig())


def test_shipped_spaces_of_maml_have_its_settings():
    assert len(read_space(CONFIGS / "search" / "maml.toml", RunConfig(algorithm="metasgd")).settings) == 4
    regression = RunConfig(MAMLConfig(dropout_rate=0.0), algorithm="maml", problem="regression")
    assert len(read_space(CONFIGS / "search" / "regression_maml.toml", regression).settings) == 3


@pytest.mark.parametrize("name", ["paper", "regression"])
def test_shipped_spaces_contain_the_values_of_the_flagfiles(name):
    if name == "regression":
        config = RunConfig(LEOConfig(dropout_rate=0.0), episodes=EpisodeConfig(), problem="regression")
        files = [CONFIGS / "regression.cfg"]
    else:
        config = RunConfig()
        files = [CONFIGS / f"{data}_{shots}shot.cfg" for data in ("mini", "tiered") for shots in (1, 5)]
        files.append(CONFIGS / "quickstart.cfg")
    space = read_space(CONFIGS / "search" / f"{name}.toml", config)
    for file in files:
        lines = file.read_text().splitlines()
        flags = dict(line.removeprefix("--").split("=") for line in lines if line.startswith("--"))
        for setting, domain in space.settings.items():
            assert domain.low <= float(flags[setting]) <= domain.high, (file, setting)
