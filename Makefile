# trainhub: `make up` runs the hub, `make test` its tests; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DATABASE_TESTS := tests/admin tests/artifacts tests/end_to_end tests/hostile tests/pages tests/projects tests/runs tests/trainhub
PACKAGES := trainhub projects runs artifacts runner recipes tests benchmarks manage.py

# --- Use ------------------------------------------------------------------------------------------
.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18
	@echo
	@echo "Settings: TRAINHUB_PORT (8000), TRAINHUB_DATA (var/); docs/operations.md has all of them."

.PHONY: up
up: $(VENV)/installed ## run the hub: web and scheduler, on SQLite, in var/
	@exec $(BIN)/python manage.py up

.PHONY: token
token: $(VENV)/installed ## print a new API token of the operator and nothing else
	@$(BIN)/python manage.py token

.PHONY: link
link: $(VENV)/installed ## print a new one-time sign-in link of the operator
	@$(BIN)/python manage.py signinlink

.PHONY: test
test: $(VENV)/installed-dev ## run the whole test suite on SQLite, and on PostgreSQL too when DATABASE_URL names one
	@env -u DATABASE_URL $(BIN)/python -m pytest -n auto
	@if [ -n "$${DATABASE_URL:-}" ]; then $(MAKE) --no-print-directory test-database; fi

.PHONY: test-database
test-database: $(VENV)/installed-dev ## run the tests that touch the database on the one that DATABASE_URL names
	@$(BIN)/python -m pytest -n auto -m "not browser" $(DATABASE_TESTS)

# --- Develop --------------------------------------------------------------------------------------
.PHONY: check
check: $(VENV)/installed-dev lint types migrations schema ## the whole gate, as CI runs it
	@$(MAKE) --no-print-directory test

.PHONY: format
format: $(VENV)/installed-dev ## format the code and mend what lint can mend
	@$(BIN)/ruff format $(PACKAGES)
	@$(BIN)/ruff check --fix $(PACKAGES)

.PHONY: lint
lint: $(VENV)/installed-dev ## formatting and lint
	@$(BIN)/ruff format --check $(PACKAGES)
	@$(BIN)/ruff check $(PACKAGES)

.PHONY: types
types: $(VENV)/installed-dev ## types, strictly
	@$(BIN)/mypy

.PHONY: migrations
migrations: $(VENV)/installed-dev ## migrations are complete
	@TRAINHUB_DATA=$$(mktemp -d) $(BIN)/python manage.py makemigrations --check --dry-run

.PHONY: schema
schema: $(VENV)/installed-dev ## the OpenAPI document is valid and without a warning
	@TRAINHUB_DATA=$$(mktemp -d) $(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

.PHONY: bench
bench: $(VENV)/installed-dev ## measure start, memory, latencies and requests per second
	@$(BIN)/python -m benchmarks.main

.PHONY: bench-telemetry
bench-telemetry: $(VENV)/installed-dev ## measure telemetry at full size, beside MLflow and trackio; ARGS="--help" tells the parts
	@$(BIN)/python -m benchmarks.telemetry $(ARGS)

.PHONY: clean
clean: ## remove the virtual environment and caches; var/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# --- Set-up ---------------------------------------------------------------------------------------
$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "trainhub needs Python 3.11 or newer; $(PYTHON) was not found. Try: make up PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"trainhub needs Python 3.11 or newer; $(PYTHON) is {sys.version.split()[0]}. Try: make up PYTHON=/path/to/python3.11")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(PYTHON) -c 'import shutil, sys; free = shutil.disk_usage(".").free >> 20; sys.exit(free < 1000 and f"Only {free} MiB are free here; setting up takes about 400 MiB.")'
	@echo "Making the virtual environment in $(VENV) …" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt | $(VENV)/bin/python
	@echo "Installing what requirements.txt pins (once; afterwards no network is needed) …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt requirements.txt $(VENV)/installed
	@echo "Installing what requirements-dev.txt pins …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
