# The one front. `make up` and `make test` work on a fresh Debian 12, as root or not.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
PYTEST := $(BIN)/python -m pytest -q
# Stores that keep their state in SQL: their tests run over PostgreSQL too.
STATE := agents alarms assets audit desired dump fleet inventory jobs leases ledger marks members \
  orders overview packages query rollouts runs sets steady tasks views
JOBS ?= 2
FUZZ_S ?= 600

.PHONY: help setup setup-all up down lint test test-python test-console fuzz bench bench-fleet bench-failures console wheel agent-bundle sbom provenance docs lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## everything that running needs
	@tools/setup.sh run

setup-all: ## everything that the tests need as well
	@tools/setup.sh all

up: setup ## set up and start server, console and this machine's agent
	@$(BIN)/hauberk up

down: ## stop what `make up` started
	@$(BIN)/hauberk down

lint: ## style, types, import rules, spelling
	$(BIN)/ruff check -q src tests tools hatch_build.py
	$(BIN)/ruff format -q --check src tests tools hatch_build.py
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --config .importlinter --no-cache > .lint-imports.log || { cat .lint-imports.log; exit 1; }
	$(BIN)/codespell -q 3 src docs README.md CONTRIBUTING.md SECURITY.md bpf

test: setup-all lint test-console test-python ## set up and run every test

test-console:
	cd console && npm run --silent check && npm run --silent test

test-python:
	$(BIN)/coverage erase
	$(PYTEST) -n $(JOBS) --dist loadfile --cov=hauberk --cov-report= tests/unit tests/content tests/golden tests/fuzz
	$(PYTEST) -n $(JOBS) --dist loadfile --state postgresql $(STATE:%=tests/unit/store/test_%.py)
	$(PYTEST) -n $(JOBS) --dist loadfile --cov=hauberk --cov-append --cov-report= tests/contract
	$(PYTEST) --durations=12 --cov=hauberk --cov-append --cov-report= tests/integration tests/browser
	$(BIN)/coverage report --skip-covered --skip-empty | tail -n 40

fuzz: setup-all ## damage into every parser, FUZZ_S seconds (600) in all
	HAUBERK_FUZZ_S=$(FUZZ_S) $(PYTEST) -n $(JOBS) tests/fuzz

bench: setup-all ## the figures of the budgets, printed
	$(BIN)/python -m tests.bench

bench-fleet: setup-all ## 5,000 agents on one server for ten minutes, then 10,000 that all come back at once
	$(BIN)/python -m tests.bench.fleet --agents 5000 --seconds 600 --rate 20000
	$(BIN)/python -m tests.bench.fleet --agents 10000 --seconds 200 --rate 0 --restart-after 70

bench-failures: setup-all ## PostgreSQL, NATS, S3 and workers that fail under load; what was acknowledged is counted
	$(BIN)/python -m tests.bench.failures --agents 200 --seconds 300 --rate 2000

console: ## build the console and the native parts into the package
	$(BIN)/python hatch_build.py

wheel: ## one installable wheel in dist/
	$(BIN)/uv build -q --wheel --no-build-isolation --python $(BIN)/python -o dist .

agent-bundle: setup ## the self-contained agent in dist/: .tar.xz and .deb
	$(BIN)/python -m tools.bundle

sbom: ## what the product is made of, CycloneDX, into dist/
	$(BIN)/python -m tools.sbom

provenance: ## how the files in dist/ were made; KEY=file.pem (Ed25519) signs it
	$(BIN)/python -m tools.provenance $(if $(KEY),--key $(KEY))

docs: ## redraw the generated documentation
	$(BIN)/python -m tools.draw

lock: ## re-lock the dependencies
	tools/lock.sh

clean: ## remove what was built
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .coverage* .lint-imports.log \
	  console/node_modules src/hauberk/api/static src/hauberk/sensor/_native
