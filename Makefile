# Every verb is the same on a laptop and in CI. Each sets up what it needs, once. Nothing stays outside this folder
# but what pip keeps in its cache.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

WORKERS ?= auto
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
INSTALL := $(PIP) install --root-user-action=ignore --no-build-isolation --use-pep517
COMPILE := $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url $(LOCK_OPTIONS)

# The first Python that is new enough and able to make a virtual environment (Debian's needs python3-venv for that).
PROBE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c '$(PROBE)' 2>/dev/null && { echo "$$name"; break; }; done)

.PHONY: help
help: ## List the verbs.
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: $(VENV)/ready ## Run the product on a simulated workspace and an embedded Postgres; no key, no database.
	@$(BIN)/batchledger demo

.PHONY: test
test: $(VENV)/ready-dev ## Run every test but those that take minutes.
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_OPTIONS)

# Faults at random are drawn from seeds. A failure names its own, to be tried again: FAULT_SEED=7 FAULT_COUNT=1.
FAULT_SEED ?= $(shell date +%s)
FAULT_COUNT ?= 200

.PHONY: faults
faults: $(VENV)/ready-dev ## Try every fault, also those that take long, from hundreds of new seeds; print the table.
	$(BIN)/python -m pytest -n $(WORKERS) -m "long or not long" tests/fault \
		--fault-seed $(FAULT_SEED) --fault-count $(FAULT_COUNT) $(PYTEST_OPTIONS)

# Superset is large, and wants older releases of what we use: it has an environment of its own, of Python 3.11.
PYTHON311 ?= python3.11

.PHONY: dashboards
dashboards: $(VENV)/ready-dev $(VENV)/ready-superset ## Show a season in a real Superset, look at every chart, and take the pictures.
	SUPERSET=$(CURDIR)/$(VENV)/superset/bin $(BIN)/python -m pytest -m dashboards tests/dashboards $(PYTEST_OPTIONS)

MUTANTS ?= etl migrations

.PHONY: mutants
mutants: $(VENV)/ready-mutants ## Make mistakes in parser, guard and SQL, and see which ones no test notices.
	$(BIN)/mutmut run
	$(BIN)/mutmut results
	$(BIN)/python tests/mutants/run.py $(MUTANTS)

LINTERS := lint-style lint-types lint-layers lint-migrations lint-deploy

.PHONY: lint $(LINTERS)
lint: $(LINTERS) ## Check style, types, layers, migrations and deployment files; -k goes on after a fault.

lint-style: $(VENV)/ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-types: $(VENV)/ready-dev
	$(BIN)/python -m mypy

lint-layers: $(VENV)/ready-dev
	$(BIN)/lint-imports

lint-migrations: $(VENV)/ready-dev
	$(BIN)/batchledger migrate --sql >$(VENV)/migrations.sql
	$(BIN)/squawk $(VENV)/migrations.sql

lint-deploy: $(VENV)/ready-dev
	deploy/check

.PHONY: format
format: $(VENV)/ready-dev ## Let ruff mend what it can.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: bench
bench: $(VENV)/ready-dev ## Measure, and print the table.
	$(BIN)/python benchmarks/speed.py

.PHONY: growth
growth: $(VENV)/ready-dev ## Measure what a ledger grows by, and print the table.
	$(BIN)/python benchmarks/growth.py

SIZE ?= small

.PHONY: scale
scale: $(VENV)/ready-dev ## Fill a ledger with a synthetic history, time what dashboards ask, print the table; SIZE=medium.
	$(BIN)/python -m benchmarks.scale --size $(SIZE)

.PHONY: lock
lock: $(VENV)/ready-dev ## Write requirements/ anew from pyproject.toml; LOCK_OPTIONS=--upgrade for newer releases.
	$(COMPILE) pyproject.toml --output-file requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra embedded --constraint requirements/runtime.txt \
		--output-file requirements/embedded.txt
	$(COMPILE) --group build --output-file requirements/build.txt
	$(COMPILE) --group dev --constraint requirements/embedded.txt --constraint requirements/build.txt \
		--output-file requirements/dev.txt
	$(COMPILE) --group mutants --constraint requirements/dev.txt --output-file requirements/mutants.txt
	$(COMPILE) --group dashboards --output-file requirements/dashboards.txt

.PHONY: clean
clean: ## Remove what the other verbs have made here.
	rm -rf $(VENV) .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache dist mutants

# What is installed: the locked tools that build, the locked dependencies, then the product from this folder.
# The stamps are written last, so that what was interrupted is done again, and what is done costs nothing.

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "batchledger needs Python 3.11 or later, with its venv module" \
		"(Debian, Ubuntu: apt install python3-venv), or PYTHON=/path/to/python." >&2; exit 1; }
	@echo "Setting up $(VENV) ..." >&2
	@"$(PYTHON)" -m venv --clear $(VENV)

$(VENV)/ready: pyproject.toml requirements/build.txt requirements/embedded.txt | $(BIN)/python
	@$(INSTALL) --require-hashes --requirement requirements/build.txt
	@$(INSTALL) --require-hashes --requirement requirements/embedded.txt
	@$(INSTALL) --no-deps --editable .
	@touch $@

$(VENV)/ready-dev: requirements/dev.txt $(VENV)/ready
	@$(INSTALL) --require-hashes --requirement requirements/dev.txt
	@touch $@

$(VENV)/ready-mutants: requirements/mutants.txt $(VENV)/ready-dev
	@$(INSTALL) --require-hashes --requirement requirements/mutants.txt
	@touch $@

$(VENV)/ready-superset: requirements/dashboards.txt | $(BIN)/python
	@"$(PYTHON311)" -m venv --clear $(VENV)/superset
	@$(VENV)/superset/bin/python -m pip --quiet --disable-pip-version-check --no-input install \
		--root-user-action=ignore --require-hashes --requirement requirements/dashboards.txt
	@touch $@
