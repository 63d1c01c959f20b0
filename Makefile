# trainhub: `make up` runs the hub, `make test` its tests; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CLIENTS := .clients
HF_SFT ?= recipes/hf-sft/.venv
PACKAGES := trainhub projects runs artifacts mlflow_api runner recipes docs/examples tests benchmarks manage.py

# --- Use ------------------------------------------------------------------------------------------
.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18
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

.PHONY: hf-sft
hf-sft: ## make the environment of the recipe hf-sft: torch, transformers, peft (1.5 GB; more with CUDA)
	@PYTHON=$(PYTHON) recipes/environment.sh recipes/hf-sft

.PHONY: s3
s3: $(VENV)/installed ## install what artifacts in an S3 bucket need (TRAINHUB_STORE=s3://bucket/prefix)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-s3.txt

.PHONY: programs
programs: ## make the environments of all programs in TRAINHUB_PROGRAMS, from their requirements.txt
	@IFS=:; for folder in $${TRAINHUB_PROGRAMS:?must list the folders that hold programs}; do \
	  for file in "$$folder"/*/requirements.txt; do \
	    if [ -e "$$file" ]; then PYTHON=$(PYTHON) recipes/environment.sh "$$(dirname "$$file")"; fi; done; done

# Tests that start processes (hubs, trainers, browsers, engines) wait most of the time, and those with a long one come
# first; all others compute. Two lanes at once keep the cores busy, and what computes gives way, so that what waits for a
# process does not wait for the other lane. Each prints what it has to say when it is through. A file of the former stays in
# one test process: hubs, long logs and databases are made once for all of its tests.
PROCESS_TESTS := tests/benchmarks tests/end_to_end tests/postgres tests/runs/executors tests/recipes tests/browser tests/runner tests/artifacts
PROCESSES := -n 2 --dist loadscope --no-loadscope-reorder --durations 15 --durations-min 5
DATABASE_TESTS := tests/admin tests/hostile tests/mlflow_api tests/pages tests/projects tests/runs tests/trainhub
ON_DATABASE := -m "not browser and not trainer"
SIDE_BY_SIDE := $(MAKE) --no-print-directory --output-sync=target --jobs

.PHONY: test
test: $(VENV)/installed-dev ## run the whole test suite on SQLite, and on PostgreSQL too when DATABASE_URL names one
	@$(SIDE_BY_SIDE) 2 test-processes test-computing

.PHONY: test-processes
test-processes: $(VENV)/installed-dev
	@env -u DATABASE_URL $(BIN)/python -m pytest $(PROCESSES) $(PROCESS_TESTS)
	@if [ -n "$${DATABASE_URL:-}" ]; then $(BIN)/python -m pytest $(PROCESSES) $(ON_DATABASE) tests/end_to_end tests/artifacts; fi

.PHONY: test-computing
test-computing: $(VENV)/installed-dev
	@env -u DATABASE_URL nice -n 10 $(BIN)/python -m pytest -n auto $(PROCESS_TESTS:%=--ignore=%)
	@if [ -n "$${DATABASE_URL:-}" ]; then \
	  nice -n 10 $(BIN)/python -m pytest -n auto $(ON_DATABASE) --ignore=tests/runs/executors $(DATABASE_TESTS); fi

.PHONY: test-database
test-database: $(VENV)/installed-dev ## run the tests that touch the database on the one that DATABASE_URL names
	@$(BIN)/python -m pytest -n auto $(ON_DATABASE) tests/end_to_end tests/artifacts $(DATABASE_TESTS)

# --- Develop --------------------------------------------------------------------------------------
.PHONY: check
check: $(VENV)/installed-dev lint ## the whole gate, as CI runs it
	@$(SIDE_BY_SIDE) 3 test-processes test-computing types migrations schema

.PHONY: test-clients
test-clients: $(CLIENTS)/mlflow-2/installed $(CLIENTS)/mlflow-3/installed $(CLIENTS)/trainers/installed ## make the environments of the MLflow clients and trainers that tests drive

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

.PHONY: bench-mlflow
bench-mlflow: $(VENV)/installed-dev ## measure the MLflow protocol beside MLflow's own server; ARGS="--small" only tries it
	@$(BIN)/python -m benchmarks.mlflow $(ARGS)

.PHONY: bench-pages
bench-pages: $(VENV)/installed-dev ## measure the pages with a full database and a real browser; ARGS="--small" only tries it
	@$(BIN)/python -m benchmarks.pages $(ARGS)

.PHONY: bench-scheduler
bench-scheduler: $(VENV)/installed-dev ## measure the scheduler with 1,000 and 10,000 queued runs; ARGS="--small" only tries it
	@$(BIN)/python -m benchmarks.scheduler $(ARGS)

.PHONY: chaos
chaos: $(VENV)/installed-dev ## kill scheduler, web, database and Slurm in turn for five minutes under 20 running runs
	@TRAINHUB_CHAOS_SECONDS=300 TRAINHUB_CHAOS_RUNS=20 $(BIN)/python -m pytest -q tests/end_to_end/test_chaos.py

.PHONY: bench-s3
bench-s3: $(VENV)/installed-dev ## measure a large checkpoint to an S3 server and back; ARGS="--mb 100" takes a smaller one
	@$(BIN)/python -m benchmarks.s3 $(ARGS)

.PHONY: clean
clean: ## remove the virtual environment and caches; var/ stays
	rm -rf $(VENV) static/vendor .pytest_cache .mypy_cache .ruff_cache .hypothesis

# --- Set-up ---------------------------------------------------------------------------------------
$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "trainhub needs Python 3.11 or newer; $(PYTHON) was not found. Try: make up PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"trainhub needs Python 3.11 or newer; $(PYTHON) is {sys.version.split()[0]}. Try: make up PYTHON=/path/to/python3.11")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(PYTHON) -c 'import shutil, sys; free = shutil.disk_usage(".").free >> 20; sys.exit(free < 1000 and f"Only {free} MiB are free here; setting up takes about 400 MiB.")'
	@echo "Making the virtual environment in $(VENV) …" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt $(VENV)/frontend | $(VENV)/bin/python
	@echo "Installing what requirements.txt pins (once; afterwards no network is needed) …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt requirements-s3.txt requirements.txt $(VENV)/installed
	@echo "Installing what requirements-dev.txt pins …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# What tests/clients drives: MLflow's clients, and trainers that log by them. Each has a Python environment of its own.
$(CLIENTS)/mlflow-%/installed: tests/clients/mlflow-%.txt
	@echo "Making $(@D) …" >&2
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(HF_SFT)/installed:
	@$(MAKE) --no-print-directory hf-sft

# torch and transformers are large: a line in a .pth file borrows those of the recipe.
SITE := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
$(CLIENTS)/trainers/installed: tests/clients/trainers.txt $(HF_SFT)/installed
	@echo "Making $(@D) …" >&2
	@rm -rf $(@D)
	@$(HF_SFT)/bin/python -m venv $(@D)
	@$(HF_SFT)/bin/python $(SITE) >"$$($(@D)/bin/python $(SITE))/hf-sft.pth"
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# What the pages take from npm. A machine without npm borrows one from the Python package index, for this alone.
NPM_CI := npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null

$(VENV)/frontend: package.json package-lock.json requirements-node.txt | $(VENV)/bin/python
	@echo "Installing what package-lock.json pins …" >&2
	@if command -v npm >/dev/null; then $(NPM_CI); else \
	  echo "There is no npm here; borrowing one …" >&2; \
	  $(BIN)/python -m venv $(VENV)/node; \
	  $(VENV)/node/bin/pip install --quiet --disable-pip-version-check -r requirements-node.txt; \
	  PATH="$(CURDIR)/$(VENV)/node/bin:$$PATH" $(NPM_CI); \
	  rm -rf $(VENV)/node; fi
	@mkdir -p static/vendor
	@sed 's,/\*# sourceMappingURL=[^*]*\*/,,' node_modules/@tabler/core/dist/css/tabler.min.css >static/vendor/tabler.min.css
	@cp node_modules/uplot/dist/uPlot.iife.min.js node_modules/uplot/dist/uPlot.min.css static/vendor/
	@cp node_modules/axe-core/axe.min.js $(VENV)/axe.min.js
	@rm -rf node_modules
	@touch $@
