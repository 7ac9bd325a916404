"""The error that reports a user's mistake, and the check for optional packages."""

import pickle
import re
import sys

import pytest

from leo_tf import InputError
from leo_tf.errors import require_package


def test_an_error_keeps_the_names_of_its_settings():
    error = pickle.loads(pickle.dumps(InputError("seed=-1 was given.", "seed")))
    assert (str(error), error.settings) == ("seed=-1 was given.", ("seed",))


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("sklearn", "scikit-learn"),
        ("sklearn.gaussian_process", "scikit-learn"),
        ("PIL", "Pillow"),
    ],
)
def test_what_is_not_installed_is_named_as_pip_knows_it(monkeypatch, module, package):
    monkeypatch.delitem(sys.modules, module, raising=False)  # another test may have imported it
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    message = f"The report needs {package}, which is not installed: pip install {package}."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        require_package(module, "The report")


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.module"])
def test_what_nobody_has_is_not_found(module):
    with pytest.raises(InputError, match=r"^This needs no_such_package, which"):
        require_package(module, "This")


def test_what_is_installed_passes():
    require_package("numpy.linalg", "This")
