"""Search spaces in TOML are read or refused; those that are read can be searched."""

from pathlib import Path

import pytest
from fuzzing import EFFORT, corrupted, fuzz, little_memory, refusing
from hypothesis import strategies as st
from structures import changed, times, values

from leo_tf import RunConfig
from leo_tf.search.space import read_space

pytestmark = pytest.mark.long

SPACES = Path(__file__).parents[2] / "configs" / "search"
ALGORITHMS = {"paper.toml": {}, "maml.toml": {"algorithm": "maml"}}
DOCUMENT = {
    "outer_lr": {"low": 1e-5, "high": 1e-3, "scale": "log"},
    "num_latents": {"low": 16, "high": 128},
    "kl": {"choices": ["sampled", "analytic"]},
    "dropout_rate": {"choices": [0.0, 0.3]},
}


def toml(value):
    """Return a value as TOML; large whole numbers in hexadecimal, which Python reads at any length."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) > 10**30:
        return hex(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(name))} = {toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


def document(tables):
    return "\n".join(f"{toml(name)} = {toml(table)}" for name, table in tables.items()).encode("utf-8", "replace")


class Trial:
    """Stand-in for a trial of Optuna that takes bounds and last choices."""

    def suggest_int(self, name, low, high, log):
        return low

    def suggest_float(self, name, low, high, log):
        return high

    def suggest_categorical(self, name, choices):
        return choices[-1]


@EFFORT
@pytest.mark.parametrize("name", ALGORITHMS)
def test_spaces(tmp_path, name, effort):
    config, file = RunConfig(**ALGORITHMS[name]), tmp_path / "space.toml"

    def check(content):
        file.write_bytes(content)
        with little_memory(32e6), refusing():
            space = read_space(file, config)
            config.with_settings(space.suggest(Trial()))
            assert space.record().keys() == space.settings.keys()

    hexadecimal = st.sampled_from([16**5000, -(16**5000), 16**400])
    written = st.builds(
        document, changed([DOCUMENT], values | times | hexadecimal).filter(lambda d: isinstance(d, dict))
    )
    valid = [(SPACES / name).read_bytes(), document(DOCUMENT)]
    fuzz(st.one_of(written, written, corrupted(*valid)), check, 200, effort)
