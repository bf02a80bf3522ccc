PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test test-slow lint wheel docs reference benchmark-toy

install: $(STAMP)

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install -e '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/udaseg demo

# a process per core; tests of one file stay together, since they share what is slow to make
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

test: $(STAMP)
	$(PYTEST)

test-slow: $(STAMP)
	$(PYTEST) -m slow

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

# builds the wheel and tries it in an environment and a folder of its own
wheel: $(STAMP)
	sh dev/try_wheel.sh $(BIN)/python

# the documents as a site: site/index.html
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# the tables of docs/reference/config.md
reference: $(STAMP)
	$(BIN)/python -m dev.config_reference

benchmark-toy: $(STAMP)
	$(BIN)/python run_experiments.py --exp 202 --methods source_only dacs daformer oracle --jobs 2 --resume
