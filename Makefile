# The two commands: `make demo` and `make test`. Both set up .venv on their first run and need no network after it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
JOBS ?= auto
# Importing torch and what stands on it takes twice as long where its byte code may not be kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-unit lint install format clean

demo: .venv/installed
	$(BIN)/setpoint demo

test: .venv/installed
	$(BIN)/pytest -n $(JOBS) --dist worksteal

test-unit: .venv/installed
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "not slow"

lint: .venv/installed
	$(BIN)/ruff check --output-format concise
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

install: .venv/installed

format: .venv/installed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Setpoint needs Python 3.11 or 3.12; set PYTHON=…" if not (3, 11) <= sys.version_info[:2] <= (3, 12) else 0)'
	@echo "setting up .venv with pip, which says nothing for a few minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv outputs
