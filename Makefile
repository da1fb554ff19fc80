# `make search` and `make test` are all a new user needs; each makes .venv if need be.
PYTHON ?= python3
SPACE ?= wrn_vs_resnext
DATA ?= digits
ARGS ?=
# A first look that two cores finish in about three minutes; of an option that is given twice the
# last one counts, so ARGS="--trials 40 --confirm 3x3" asks for more.
FIRST_LOOK := $(if $(filter digits,$(DATA)),--trials 14 --confirm 2x2)

# Versions are those that were tested; `make latest` gives no file, and has an environment for it.
CONSTRAINTS := constraints.txt
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
INSTALL := $(RUN) pip install --quiet
TESTED := $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
# What builds this package is told apart: pip leaves it to itself otherwise.
TESTED_BUILD := $(if $(CONSTRAINTS),--build-constraint $(CONSTRAINTS))
# A file's tests share searches and stores, so a file stays in one process; the long ones come first.
SPREAD := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: search test test-all chaos cluster-test gpu-test lint audit ui tour secrets upgrade latest \
  clean
.DELETE_ON_ERROR:

search: $(VENV)/.installed
	$(RUN) pipeline.search --space "$(SPACE)" --data "$(DATA)" $(FIRST_LOOK) $(ARGS)

test: $(VENV)/.installed-dev
	$(RUN) pytest -m "not slow and not gpu" $(SPREAD) $(ARGS)

test-all: $(VENV)/.installed-dev
	$(RUN) pytest -m "not gpu" $(SPREAD) $(ARGS)

chaos: $(VENV)/.installed-dev
	$(RUN) pytest tests/chaos --write-table $(ARGS)

# Every service of docker/compose.yaml, on hosts of its own, with a search and faults; needs root.
cluster-test: $(VENV)/.installed-dev
	$(RUN) pytest -m cluster $(ARGS)

# They fill the GPU, so one follows the other and nothing else may train on it; skipped without one.
gpu-test: $(VENV)/.installed-dev
	$(RUN) pytest tests/gpu $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Known vulnerabilities and licences of what is installed; the first of them needs the network.
audit: $(VENV)/.installed-dev
	$(BIN)/python .ci/audit.py

ui: $(VENV)/.installed
	$(RUN) pipeline.ui $(ARGS)

# Renews the output and the pictures of docs/tour.md; needs Chromium.
tour: $(VENV)/.installed-dev
	$(BIN)/python docs/make_tour.py $(ARGS)

# What docker/compose.yaml needs; any Python does, and what is there stays as it is.
secrets:
	@$(PYTHON) docker/make_secrets.py

# Renews constraints.txt and the images' lists, and raises the bound of Ray in pyproject.toml.
upgrade: $(VENV)/.installed-dev
	$(BIN)/python .ci/lock.py --upgrade

# The tests on the newest versions that pyproject.toml allows, in .venv-latest, which is made anew.
latest:
	rm -rf .venv-latest
	$(MAKE) test VENV=.venv-latest CONSTRAINTS=

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; name one: make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml $(CONSTRAINTS)
	$(INSTALL) --upgrade $(TESTED) 'pip>=25.3,<27'
	$(INSTALL) $(TESTED) $(TESTED_BUILD) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) $(TESTED) $(TESTED_BUILD) --editable '.[cluster]' --group dev
	@touch $@

clean:
	rm -rf .venv .venv-latest build dist
