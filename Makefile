# Everything a developer runs. Needs Python 3.11, make and git; `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell python3.11 -c 'print("python3.11")' 2>/dev/null || echo python3)
VENV := .venv
BIN := $(VENV)/bin
# Stands for "the environment holds what the locks say": older than one of them, it is made anew by whichever target needs it.
STAMP := $(VENV)/.up-to-date
LOCKS := requirements/bootstrap.lock requirements/dev.lock
UV_QUIET ?= --quiet
UV_COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --universal --python-version 3.11

# Each of the some hundred processes of a run would compile the code anew where this is set. `make clean` removes what is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo run status test test-docker check fmt rules schemas lock bench chaos model clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## the virtual environment, from the locks with hashes (the others call it when it is missing or stale)

$(STAMP): $(LOCKS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Python 3.11 is needed, $(PYTHON) is another: make setup PYTHON=<path of a Python 3.11>"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian: python3-venv)"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r requirements/bootstrap.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip sync $(UV_QUIET) --compile-bytecode --require-hashes requirements/bootstrap.lock requirements/dev.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install $(UV_QUIET) --no-deps --no-build-isolation --no-index --editable .
	@touch $@
	@echo "The environment is ready: $(VENV)"

demo: $(STAMP) ## the main job: a company's first weeks, from HR data to the invoice (HR=folder of CSV files, PLAN=file.toml)
	@$(BIN)/seatpool demo $(if $(HR),--hr "$(HR)") $(if $(PLAN),--plan "$(PLAN)")

run: $(STAMP) ## the local stack, until Ctrl-C (its data stays in .seatpool/)
	@$(BIN)/seatpool run

status: $(STAMP) ## what runs, and where
	@$(BIN)/seatpool status

# Files are spread over two processes; those marked xdist_group("stack") run whole stacks and stay together in one.
test: $(STAMP) ## all tests, on a real broker and a real PostgreSQL (ARGS=… for pytest, e.g. ARGS="-k T6")
	@$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

test-docker: $(STAMP) ## the tests that need the broker or PostgreSQL, on containers (skipped with the reason where no engine answers)
	@if reason=$$($(BIN)/python -m deploy.local.containers 2>&1); then BACKEND=docker $(BIN)/pytest -n 2 --dist loadgroup tests/integration $(ARGS); \
	 else echo "test-docker skipped: $$reason"; fi

check: $(STAMP) ## lint, format, types (strict), and the tidy test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -q tests/unit/test_tidy.py

fmt: $(STAMP) ## format, and mend what the linter can
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

rules: $(STAMP) ## print each product rule with the tests that prove it
	@$(BIN)/python -m tests.support.rules

schemas: $(STAMP) ## generate the committed JSON Schemas from the message classes
	@$(BIN)/python -m shared.schemas.generate

lock: $(STAMP) ## resolve the dependencies anew (UPGRADE=1: to their newest versions)
	@$(UV_COMPILE) $(if $(UPGRADE),--upgrade) --extra dev -o requirements/dev.lock pyproject.toml
	@$(UV_COMPILE) $(if $(UPGRADE),--upgrade) --extra all -o requirements/runtime.lock pyproject.toml
	@! grep -n '://' requirements/*.lock || { echo "a lock names a registry"; exit 1; }

bench: $(STAMP) ## commands/s of one seats worker and people/s end to end, beside baselines of the same run
	@for file in tests/bench/*_bench.py; do name=$${file%.py}; echo "== $$name"; $(BIN)/python -m "$${name//\//.}" $(ARGS); done
	@$(BIN)/pytest -q -s -n 0 tests/bench/bench_*.py

chaos: $(STAMP) ## kill, pause and cut off at random, then compare with the log (SECONDS=60 SEED=n)
	@$(BIN)/python -m tests.chaos $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

model: $(STAMP) ## random histories against the plain model (N=examples)
	@SEATPOOL_EXAMPLES=$(or $(N),2000) $(BIN)/pytest -q tests/model $(ARGS)

clean: ## remove the local stack's data, the environment and all caches
	@rm -rf .seatpool $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
