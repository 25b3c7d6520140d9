# Needs only Python >= 3.11 with its venv module, make and a package registry; no root.
# `make` alone lists the targets.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
KSERVE_VENV := .venv-kserve
PEERS_VENV := .venv-peers
JOBS_VENV := .venv-jobs
UV_VERSION := 0.13.9
# Most tests wait for processes that they have started, so two files run at a time.
ALL_TESTS := -q -n 2 --dist loadfile

# Packages come from the lock files, so pip has nothing to decide; its progress is noise.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-input
SOURCES := bridge loadtest workers
# Each folder of models/ may hold a pipeline.py of its own, and mypy refuses two modules of one name:
# it checks what builds the models, and ruff checks all of models/.
TYPED := $(SOURCES) $(wildcard models/*.py models/training/*.py)

# Prints the path of a suitable interpreter, or says which were tried and fails.
define find_python
found=; \
for name in $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3.14 python3 python); do \
  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$name; break; fi; \
done; \
if [ -z "$$found" ]; then \
  echo "No Python >= 3.11 found (tried: $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3.14 python3 python))." >&2; \
  echo "Install one, or name one: make $(or $(MAKECMDGOALS),install) PYTHON=/path/to/python3" >&2; \
  exit 1; \
fi
endef

# $(call create_venv,folder)
define create_venv
$(find_python); \
echo "creating $(1) with $$("$$found" --version)"; \
"$$found" -m venv --clear $(1) || { \
  echo "$$found cannot create a virtual environment; on Debian and Ubuntu this needs the package python3-venv." >&2; \
  exit 1; \
}
endef

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{printf "  make %-16s %s\n", $$1, $$2}'

$(VENV)/.created:
	@$(call create_venv,$(VENV))
	@touch $@

$(VENV)/.installed: $(VENV)/.created requirements-build.lock requirements.lock pyproject.toml
	@echo "installing the packages of requirements.lock"
	@$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements-build.lock -r requirements.lock
	@$(BIN)/python $(PIP_INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "installing the packages of requirements-dev.lock"
	@$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

# Strangers, each in an environment of its own: .venv-kserve, .venv-peers, .venv-jobs.
.venv-%/.installed: requirements-%.lock
	@$(call create_venv,$(@D))
	@echo "installing the packages of $<"
	@$(@D)/bin/python $(PIP_INSTALL) --require-hashes -r $<
	@touch $@

.PHONY: install
install: $(VENV)/.installed ## create .venv with what serving needs
	@:

.PHONY: install-dev
install-dev: $(VENV)/.installed-dev ## add what tests and checks need
	@:

.PHONY: install-kserve
install-kserve: $(KSERVE_VENV)/.installed ## create .venv-kserve with the KServe client, for its conformance test
	@:

.PHONY: install-peers
install-peers: $(PEERS_VENV)/.installed ## create .venv-peers with the servers that the load tester is tried on
	@:

.PHONY: install-jobs
install-jobs: $(JOBS_VENV)/.installed ## create .venv-jobs with what a file is scored with instead
	@:

.PHONY: serve
serve: install ## serve models/ on 127.0.0.1:8080; more options in ARGS="--port 9000"
	@exec $(BIN)/batchbridge serve --models models $(ARGS)

.PHONY: test
test: install-dev ## run all tests; choose some with ARGS="tests/unit -k deadline"
	@exec $(BIN)/python -m pytest $(or $(ARGS),$(ALL_TESTS))

.PHONY: test-faults
test-faults: export SCORE_KILLS ?= 200
test-faults: export SCORE_SEED ?= 1
test-faults: export JOB_KILLS ?= 200
test-faults: export JOB_SEED ?= 1
test-faults: install-dev ## jobs under 400 kills at named points; SCORE_KILLS, JOB_KILLS and *_SEED change that
	@echo "SCORE_KILLS=$(SCORE_KILLS) SCORE_SEED=$(SCORE_SEED) JOB_KILLS=$(JOB_KILLS) JOB_SEED=$(JOB_SEED)"
	@exec $(BIN)/python -m pytest -s tests/faults/test_score_many_kills.py tests/faults/test_http_jobs_kills.py $(ARGS)

.PHONY: test-mutations
test-mutations: install-dev ## break each check of a model on purpose: do tests notice? (about 10 min)
	@exec $(BIN)/python -m tests.mutations $(ARGS)

.PHONY: lint
lint: install-dev ## format, lint, types and import rules
	@echo "== format"
	@$(BIN)/ruff format --check .
	@echo "== lint"
	@$(BIN)/ruff check .
	@echo "== types"
	@$(BIN)/mypy $(TYPED)
	@echo "== imports"
	@$(BIN)/lint-imports --no-logo

.PHONY: check
check: lint ## lint and the fast tests: the definition of good
	@echo "== fast tests"
	@$(BIN)/python -m pytest -q tests/unit tests/property

.PHONY: format
format: install-dev ## format the code and apply the safe lint fixes
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

.PHONY: bench
bench: install-dev ## measure throughput and latency against a bare session.run loop
	@exec $(BIN)/python -m loadtest.bench $(ARGS)

.PHONY: bench-peers
bench-peers: install-dev install-peers ## measure beside mosec and FastAPI, with the same model
	@exec $(BIN)/python -m loadtest.bench_peers $(ARGS)

.PHONY: bench-jobs
bench-jobs: install-dev install-jobs ## a file through score, beside a bare loop and other tools
	@exec $(BIN)/python -m loadtest.bench_jobs $(ARGS)

.PHONY: bench-scheduling
bench-scheduling: install-dev ## measure whether the latency promise is kept at any load
	@exec $(BIN)/python -m loadtest.bench_scheduling $(ARGS)

.PHONY: bench-gateway
bench-gateway: install-dev ## CPU time of a request in the gateway, stage by stage
	@exec $(BIN)/python -m tests.gateway_stages $(ARGS)

.PHONY: bench-trust
bench-trust: install-dev ## hold the load tester against wrk and a second open loop
	@exec $(BIN)/python -m loadtest.trust $(ARGS)

.PHONY: models
models: install-dev ## build the sample models again
	@exec $(BIN)/python models/build.py $(ARGS)

# Keeps every pin that still fits; `make lock ARGS=--upgrade` takes the newest versions,
# `make lock ARGS="--upgrade-package aiohttp"` one of them.
COMPILE = $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS)

# The widest set comes first and constrains the others, so that tests run on the versions that serve.
.PHONY: lock
lock: $(VENV)/.created ## write the lock files again from pyproject.toml
	@$(BIN)/python $(PIP_INSTALL) uv==$(UV_VERSION)
	@$(COMPILE) pyproject.toml --extra loadtest --group build --group dev --output-file requirements-dev.lock
	@$(COMPILE) pyproject.toml --constraint requirements-dev.lock --output-file requirements.lock
	@$(COMPILE) --group build --constraint requirements-dev.lock --output-file requirements-build.lock
	@$(COMPILE) --group kserve --output-file requirements-kserve.lock
	@$(COMPILE) --group peers --constraint requirements-dev.lock --output-file requirements-peers.lock
	@$(COMPILE) --group jobs --output-file requirements-jobs.lock

.PHONY: clean
clean: ## remove the environments and everything else that make created
	@rm -rf $(VENV) $(KSERVE_VENV) $(PEERS_VENV) $(JOBS_VENV) .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .schemathesis build dist
	@find $(SOURCES) models tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
