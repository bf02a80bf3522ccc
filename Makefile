PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test test-slow lint reference benchmark-toy

install: $(STAMP)

$(STAMP): requirements.txt requirements-dev.txt setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install -r requirements.txt -r requirements-dev.txt
	# mmengine pulls in opencv-python, which needs libGL; on a machine without it the headless build takes its place
	$(BIN)/python -c 'import cv2' || $(BIN)/python -m pip install --force-reinstall --no-deps opencv-python-headless
	touch $@

demo: $(STAMP)
	$(BIN)/python -m tools.demo

# a process per core; tests of one file stay together, since they share what is slow to make
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

test: $(STAMP)
	$(PYTEST)

test-slow: $(STAMP)
	$(PYTEST) -m slow

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

# the tables of docs/reference/config.md
reference: $(STAMP)
	$(BIN)/python -m dev.config_reference

benchmark-toy: $(STAMP)
	$(BIN)/python run_experiments.py --exp 202 --methods source_only dacs daformer oracle --jobs 2 --resume
