# Everything from a clean clone, with Python 3.11 and make only.
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed
INSTALLED_ALL = $(VENV)/.installed-all
RUNNABLE = $(VENV)/.runnable
PIP_INSTALL = { test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); } && \
  $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable

# Byte code is written, whatever the environment says: without it, every process would compile TensorFlow again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help quickstart notebook docs test test-all check lint types wheel-test constraints clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(INSTALLED): setup.py constraints.txt
	$(PIP_INSTALL) '.[dev]'
	touch $@ $(RUNNABLE)

$(INSTALLED_ALL): setup.py constraints.txt
	$(PIP_INSTALL) '.[dev-all]'
	touch $@ $(INSTALLED) $(RUNNABLE)

$(RUNNABLE): setup.py constraints.txt
	$(PIP_INSTALL) '.[plots]'
	touch $@

quickstart: $(RUNNABLE)  ## install, train LEO and ProtoLEO on the built-in letterforms, compare them with all baselines
	@$(BIN)/python train.py --flagfile=configs/quickstart.cfg
	@$(BIN)/python evaluate.py --checkpoint_path=runs/quickstart
	@$(BIN)/python train.py --flagfile=configs/quickstart.cfg --flagfile=configs/proto_leo.cfg --num_steps_limit=1000 \
	  --checkpoint_path=runs/quickstart_proto_leo
	@$(BIN)/python evaluate.py --checkpoint_path=runs/quickstart_proto_leo --baselines=all
	@$(BIN)/python docs/quickstart_summary.py runs/quickstart runs/quickstart_proto_leo
	@echo "Try next, after: source $(VENV)/bin/activate"
	@echo "  tensorboard --logdir=runs                                           # the curves"
	@echo "  leo-tf evaluate --checkpoint_path=runs/quickstart_proto_leo --grid   # tasks of many ways and shots"
	@echo "  leo-tf export --checkpoint_path=runs/quickstart_proto_leo --output=served/letters   # serve it"
	@echo "  README.md, 'Your own data'                                          # train on your embeddings"

docs: $(INSTALLED)  ## the documentation as a site, in build/site
	$(PIP_INSTALL) '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

notebook: $(INSTALLED)  ## examples/inside_leo.py as build/inside_leo.ipynb, for Jupyter
	$(PIP_INSTALL) '.[docs]'
	mkdir -p build
	$(BIN)/python -m jupytext --quiet --to ipynb --output build/inside_leo.ipynb examples/inside_leo.py \
	  --update-metadata '{"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}'

test: $(INSTALLED)  ## install, run the tests for daily work in two processes: minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-all: $(INSTALLED_ALL)  ## all tests: kills, full disks, load, many workers, more fuzzing; an hour or more
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "long or not long"

check: lint types test wheel-test  ## tests, style, types, sdist and wheel in an empty environment

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

wheel-test: $(INSTALLED)
	rm -rf build/wheel && $(BIN)/python -m build --outdir build/wheel .
	$(PYTHON) -m venv --clear build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --constraint constraints.txt build/wheel/*.whl
	mkdir -p build/wheel/empty && cd build/wheel/empty && \
	  ../venv/bin/leo-tf train --dataset_name=glyphs --num_steps_limit=20 --checkpoint_steps=20 --metavalid_tasks=20 && \
	  ../venv/bin/leo-tf evaluate --num_tasks=20

constraints: $(INSTALLED)  ## refresh constraints.txt
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile setup.py --all-extras --universal --python-version 3.11 \
	  --output-file constraints.txt --upgrade --no-header --no-annotate

clean:
	rm -rf build dist runs .pytest_cache .ruff_cache .mypy_cache
