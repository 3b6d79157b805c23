# Everything a newcomer needs: `make demo` to see it work, `make test` to see that it works. Python >= 3.11 is all that the demo asks for;
# the tests run against PostgreSQL, MariaDB, Redis and Kafka, which they install where they can, and else name.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
RUNS := .venv/.runs
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO := build/demo
RECORDS := sqlite:///$(DEMO)/orders.db

# The tests start Python hundreds of times. Without compiled modules each start takes a quarter longer.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install check format lint contracts mypy pyright servers test test-fast matrix wire sync cli-page graph-picture docs services services-down demo down clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv, with the exact versions of constraints.txt

$(RUNS): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or later is needed: put one on the PATH as python3, or name it: make PYTHON=/path/to/python3.12' >&2; exit 1; }
	@echo 'Installing into .venv'
	@$(PYTHON) -m venv .venv || { echo 'This Python has no venv module (Debian and Ubuntu: apt install python3-venv).' >&2; exit 1; }
	@$(PIP_INSTALL) --editable .
	@touch $@

$(INSTALLED): $(RUNS) # the tools on top: the demo does without
	@echo 'Installing the tools into .venv'
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@

check: format lint contracts mypy pyright ## formatting, linters, contracts between layers, type checkers

format: $(INSTALLED)
	@$(BIN)/ruff format --check --quiet . || { echo 'Not formatted: run .venv/bin/ruff format' >&2; exit 1; }

lint: $(INSTALLED)
	@$(BIN)/ruff check --quiet .

contracts: $(INSTALLED)
	@found=$$($(BIN)/lint-imports --no-logo) || { echo "$$found" >&2; exit 1; }

mypy: $(INSTALLED)
	@$(BIN)/mypy

pyright: $(INSTALLED)
	@$(BIN)/pyright --pythonpath $(BIN)/python

servers: $(INSTALLED) ## install the servers that the tests start
	@$(BIN)/python -m tests.servers install

test: check test-fast servers ## check, then every test; those that need servers start them, and stop them
	@$(BIN)/python -m pytest --quiet -rs --numprocesses 3 --dist loadscope -m 'server or ray or end_to_end'

test-fast: $(INSTALLED) ## the tests of the parts that need no server and no Ray, side by side
	@$(BIN)/python -m pytest --quiet -rs --numprocesses auto --dist loadscope -m 'not server and not ray and not end_to_end'

matrix: servers ## run the conformance suites on every adapter, and write docs/adapters.md
	@$(BIN)/python -m tests.matrix

wire: $(INSTALLED) ## write what goes over IPC into tests/unit/runtime/ipc/golden; refuses what older processes can't read
	@$(BIN)/python -m tests.unit.runtime.ipc.wire

sync: $(INSTALLED) ## write the synchronous client, workflow_ray/sync, from the asynchronous one
	@$(BIN)/python -m tests.sync_client

cli-page: $(INSTALLED) ## write docs/cli.md from the commands
	@$(BIN)/python -m tests.cli_page

graph-picture: $(INSTALLED) ## draw docs/images/orders.svg from the program of docs/graph.md
	@$(BIN)/python -m tests.graph_picture

docs: $(INSTALLED) ## build the documentation site into build/site; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo 'Built build/site/index.html'

services: $(INSTALLED) ## keep the servers up for development, and print their URLs
	@$(BIN)/python -m tests.servers up

services-down: $(INSTALLED) ## stop them, and remove their data
	@$(BIN)/python -m tests.servers down

demo: $(DEMO)/orders.jsonl ## 2,000 orders through a workflow on a local Ray; again: none is processed twice
	@$(BIN)/workflow-ray run examples.orders:orders --input $< --records $(RECORDS) --report $(DEMO)/report.json

$(DEMO)/orders.jsonl: examples/orders/generate.py | $(RUNS)
	@mkdir -p $(DEMO)
	@$(BIN)/python -m examples.orders.generate --count 2000 --seed 7 --output $@

down: $(RUNS) ## stop what `make demo` left running; its data stays in build/demo
	@$(BIN)/workflow-ray down --records $(RECORDS)

clean: ## remove .venv, build/ and caches; run `make down` first
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
