# `make search` and `make test` are all a new user needs; each makes .venv if need be.
PYTHON ?= python3
SPACE ?= wrn_vs_resnext
DATA ?= digits
ARGS ?=
# A first look that two cores finish in about three minutes; of an option that is given twice the
# last one counts, so ARGS="--trials 40 --confirm 3x3" asks for more.
FIRST_LOOK := $(if $(filter digits,$(DATA)),--trials 14 --confirm 2x2)

BIN := .venv/bin
RUN := $(BIN)/python -m
# A file's tests share searches and stores, so a file stays in one process; the long ones come first.
SPREAD := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: search test test-all chaos cluster-test gpu-test lint audit ui tour secrets clean
.DELETE_ON_ERROR:

search: .venv/.installed
	$(RUN) pipeline.search --space "$(SPACE)" --data "$(DATA)" $(FIRST_LOOK) $(ARGS)

test: .venv/.installed-dev
	$(RUN) pytest -m "not slow and not gpu" $(SPREAD) $(ARGS)

test-all: .venv/.installed-dev
	$(RUN) pytest -m "not gpu" $(SPREAD) $(ARGS)

chaos: .venv/.installed-dev
	$(RUN) pytest tests/chaos --write-table $(ARGS)

# Every service of docker/compose.yaml, on hosts of its own, with a search and faults; needs root.
cluster-test: .venv/.installed-dev
	$(RUN) pytest -m cluster $(ARGS)

# They fill the GPU, so one follows the other and nothing else may train on it; skipped without one.
gpu-test: .venv/.installed-dev
	$(RUN) pytest tests/gpu $(ARGS)

lint: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Known vulnerabilities and licences of what is installed; the first of them needs the network.
audit: .venv/.installed-dev
	$(BIN)/python .ci/audit.py

ui: .venv/.installed
	$(RUN) pipeline.ui $(ARGS)

# Renews the output and the pictures of docs/tour.md; needs Chromium.
tour: .venv/.installed-dev
	$(BIN)/python docs/make_tour.py $(ARGS)

# What docker/compose.yaml needs; any Python does, and what is there stays as it is.
secrets:
	@$(PYTHON) docker/make_secrets.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; name one: make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --upgrade 'pip>=25.1'

.venv/.installed: .venv/bin/python pyproject.toml
	$(RUN) pip install --quiet --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(RUN) pip install --quiet --group dev
	@touch $@

clean:
	rm -rf .venv build dist
