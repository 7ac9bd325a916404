"""Every public name has an example in its docstring, and the examples run."""

import doctest

import pytest

import leo_tf

NAMES = sorted({*leo_tf.__all__, "FewShotClassifier"})
TRAINING = {"Trainer", "load"}  # whose examples train, as other tests do


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.long] * (n in TRAINING)) for n in NAMES])
def test_docstring_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    public = getattr(leo_tf, name)
    examples = doctest.DocTestFinder(recurse=False).find(public, name, globs={"leo_tf": leo_tf})
    assert sum(len(each.examples) for each in examples), f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for each in examples:
        runner.run(each)
    assert runner.summarize(verbose=False).failed == 0
