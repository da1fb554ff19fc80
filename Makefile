# `make search` and `make test` are all a new user needs; each makes .venv if need be.
PYTHON ?= python3
SPACE ?= wrn_vs_resnext
DATA ?= digits
ARGS ?=
# Two finalists and seeds are enough for a first look; of an option that is given twice the last
# one counts, so ARGS="--confirm 3x3" asks for more.
CONFIRM := $(if $(filter digits,$(DATA)),--confirm 2x2)

BIN := .venv/bin
RUN := $(BIN)/python -m
# A file's tests share searches and stores, so a file stays in one process; the long ones come first.
SPREAD := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: search test test-all chaos lint ui tour clean
.DELETE_ON_ERROR:

search: .venv/.installed
	$(RUN) pipeline.search --space "$(SPACE)" --data "$(DATA)" $(CONFIRM) $(ARGS)

test: .venv/.installed-dev
	$(RUN) pytest -m "not slow" $(SPREAD) $(ARGS)

test-all: .venv/.installed-dev
	$(RUN) pytest $(SPREAD) $(ARGS)

chaos: .venv/.installed-dev
	$(RUN) pytest tests/chaos --write-table $(ARGS)

lint: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: .venv/.installed
	$(RUN) pipeline.ui $(ARGS)

# Renews the output and the pictures of docs/tour.md; needs Chromium.
tour: .venv/.installed-dev
	$(BIN)/python docs/make_tour.py $(ARGS)

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
