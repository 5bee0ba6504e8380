# All commands for developers. They need Python 3.11, make and git. `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell python3.11 -c 'print("python3.11")' 2>/dev/null || echo python3)
VENV := .venv
BIN := $(VENV)/bin
# Stands for "the environment contains what the locks say". If it is older than a lock, any target that needs it updates the environment.
STAMP := $(VENV)/.up-to-date
LOCKS := requirements/bootstrap.lock requirements/dev.lock
UV_QUIET ?= --quiet
UV_COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --universal --python-version 3.11

# If this were set, each of about a hundred processes of a run would compile the code again. `make clean` removes the compiled files.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo run status test test-docker check fmt rules schemas translations licences lock bench chaos chaos-scim model restore-drill clean

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## create the virtual environment from the locks, with hashes (other targets do this when it is missing or out of date)

$(STAMP): $(LOCKS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Seatpool needs Python 3.11, and $(PYTHON) is another release. Run: make setup PYTHON=<path of a Python 3.11>"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "$(PYTHON) cannot create virtual environments. Install its venv module (on Debian: python3-venv)."; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r requirements/bootstrap.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip sync $(UV_QUIET) --compile-bytecode --require-hashes requirements/bootstrap.lock requirements/dev.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install $(UV_QUIET) --no-deps --no-build-isolation --no-index --editable .
	@touch $@
	@echo "The environment is ready: $(VENV)"

demo: $(STAMP) ## play the first weeks of a company, from HR data to the invoice (HR=folder of CSV files, PLAN=file.toml, KEEP=0: stop at the end)
	@$(BIN)/seatpool demo $(if $(HR),--hr "$(HR)") $(if $(PLAN),--plan "$(PLAN)") $(if $(filter 0,$(KEEP)),--stop)

run: $(STAMP) ## start the local stack, until Ctrl-C (its data is kept in .seatpool/)
	@$(BIN)/seatpool run

status: $(STAMP) ## show the parts of the running stack, their addresses and their health
	@$(BIN)/seatpool status

# Three processes share the test files, because most tests of the integration wait. tests/conftest.py says which tests share a process.
# A process that dies is not replaced: pytest-xdist 3.8 would wait for its group without end. Its test fails, and the others are reported.
PYTEST_PARALLEL := -n 3 --dist loadgroup --no-loadscope-reorder --max-worker-restart=0

test: $(STAMP) ## run all tests, on a real broker and a real PostgreSQL (ARGS=… for pytest, e.g. ARGS="-k T6")
	@$(BIN)/pytest $(PYTEST_PARALLEL) $(ARGS)

test-docker: $(STAMP) ## run the tests that need the broker or PostgreSQL in containers (skipped, with the reason, without a container engine)
	@if reason=$$($(BIN)/python -m deploy.local.containers 2>&1); then BACKEND=docker $(BIN)/pytest $(PYTEST_PARALLEL) tests/integration $(ARGS); \
	 else echo "test-docker skipped: $$reason"; fi

check: $(STAMP) ## check lint, format, types (strict), layout and the licences of the dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m tests.support.licences --check
	@$(BIN)/pytest -q tests/unit/test_tidy.py tests/unit/test_tidy_texts.py

fmt: $(STAMP) ## format the code, and fix what the linter can fix
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

rules: $(STAMP) ## print each product rule with the tests that prove it
	@$(BIN)/python -m tests.support.rules

schemas: $(STAMP) ## generate the committed JSON Schemas from the message classes
	@$(BIN)/python -m shared.schemas.generate

translations: $(STAMP) ## add new texts of the console and the e-mails to their catalogues, and remove those that are gone
	@$(BIN)/python -m tests.support.translations

licences: $(STAMP) ## write docs/licences.md from the runtime lock
	@$(BIN)/python -m tests.support.licences

lock: $(STAMP) ## resolve the dependencies and write the locks (UPGRADE=1: to their newest versions)
	@$(UV_COMPILE) $(if $(UPGRADE),--upgrade) --extra dev -o requirements/dev.lock pyproject.toml
	@$(UV_COMPILE) $(if $(UPGRADE),--upgrade) --extra all -o requirements/runtime.lock pyproject.toml
	@! grep -n '://' requirements/*.lock || { echo "a lock names a registry"; exit 1; }

bench: $(STAMP) ## measure commands/s of one seats worker and people/s end to end, beside baselines of the same run
	@for file in tests/bench/*_bench.py; do name=$${file%.py}; echo "== $$name"; $(BIN)/python -m "$${name//\//.}" $(ARGS); done
	@$(BIN)/pytest -q -s -n 0 tests/bench/bench_*.py

chaos: $(STAMP) ## kill, pause and cut off at random, then compare with the log (SECONDS=60 SEED=n)
	@$(BIN)/python -m tests.chaos $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos-scim: $(STAMP) ## kill users and seats under the load of a SCIM client, then compare with the log (ARGS="--kills 8 --seed n")
	@$(BIN)/python -m tests.chaos.scim $(ARGS)

model: $(STAMP) ## compare random histories with the reference model (N=examples)
	@SEATPOOL_EXAMPLES=$(or $(N),2000) $(BIN)/pytest -q tests/model $(ARGS)

restore-drill: $(STAMP) ## back up the databases of a running stack, go on writing, restore them, and compare the state
	@$(BIN)/pytest -q -n 0 --durations=3 tests/e2e/test_restore.py $(ARGS)

clean: ## remove the local stack's data, the environment and all caches
	@rm -rf .seatpool $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
