# Everything from a clean clone, with Python 3.11 and make only.
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed

.PHONY: help quickstart notebook test check lint types wheel-test constraints clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(INSTALLED): setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

quickstart: $(INSTALLED)  ## install, train LEO on the built-in letterforms, evaluate it
	$(BIN)/python train.py --flagfile=configs/quickstart.cfg
	$(BIN)/python evaluate.py --checkpoint_path=runs/quickstart

notebook: $(INSTALLED)  ## examples/inside_leo.py as build/inside_leo.ipynb, for Jupyter
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	mkdir -p build
	$(BIN)/python -m jupytext --quiet --to ipynb --output build/inside_leo.ipynb examples/inside_leo.py \
	  --update-metadata '{"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}'

test: $(INSTALLED)  ## install, run the tests in two processes
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: lint types test wheel-test  ## tests, style, types, and the built wheel from an empty folder

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

wheel-test: $(INSTALLED)
	rm -rf build/wheel && $(BIN)/python -m build --wheel --outdir build/wheel .
	$(PYTHON) -m venv --clear build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --constraint constraints.txt build/wheel/*.whl
	mkdir -p build/wheel/empty && cd build/wheel/empty && \
	  ../venv/bin/leo-train --dataset_name=glyphs --num_steps_limit=20 --checkpoint_steps=20 --metavalid_tasks=20 && \
	  ../venv/bin/leo-evaluate --num_tasks=20

constraints: $(INSTALLED)  ## refresh constraints.txt
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile setup.py --all-extras --universal --python-version 3.11 \
	  --output-file constraints.txt --upgrade --no-header --no-annotate

clean:
	rm -rf build dist runs .pytest_cache .ruff_cache .mypy_cache
