# Every target prepares its own environment in .venv and uses it again the next time.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
BACKBONE ?= var-digits
DEMO_OUT ?= demo-out$(if $(filter-out var-digits,$(BACKBONE)),-$(BACKBONE))

.PHONY: help demo test test-oldest test-slow test-browser test-all lint format clean

help:
	@echo "make demo       LSRS on handwritten digits, end to end: table and picture in $(DEMO_OUT)/"
	@echo "                (BACKBONE=flexvar-digits or var-digits-l for another model)"
	@echo "make test       the tests"
	@echo "make test-oldest  the tests with the lowest versions that pyproject.toml admits (6 GB in .venv-oldest)"
	@echo "make test-slow  the tests that take gigabytes or minutes"
	@echo "make test-browser  the tests that open a page in Chromium"
	@echo "make test-all   all of them"
	@echo "make lint       ruff and mypy"

$(BIN)/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: $(BIN)/.ready
	PATH="$(abspath $(BIN)):$$PATH" bash benchmarks/demo.sh $(DEMO_OUT) $(BACKBONE)

# Two processes with a thread each: two with several threads would fight over the cores.
test: $(BIN)/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow and not browser"

test-oldest:
	bash .ci/lower-bounds

test-slow: $(BIN)/.ready
	$(BIN)/python -m pytest --timeout 1200 -m "slow and not browser"

test-browser: $(BIN)/.ready
	$(BIN)/python -m pytest -m browser

test-all: test test-slow test-browser

lint: $(BIN)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(BIN)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .venv-oldest demo-out demo-out-* tts-work build dist
