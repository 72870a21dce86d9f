# make demo   sets everything up and shows a stream   make test   sets everything up and runs the tests
#
# Needs Python 3.11 or newer, make and git; everything else goes into .venv, at the versions of constraints.txt.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

SUPPORTED := 3.11 3.12 3.13 3.14 3.15
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Seconds of fuzzing for each target: make fuzz FUZZ_SECONDS=900
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= sse ndjson http websocket
# Percentage of the branches of both packages that the tests have to run.
COVERAGE_FLOOR := 90
# The versions that are installed.
CONSTRAINTS ?= constraints.txt
# Arguments for pytest: make test ARGS="-k sse -x"
ARGS ?=
# Number of processes for the tests: make test JOBS=0 runs them in pytest's process, for a debugger.
# Half as many more as there are processors by default, because many tests wait.
JOBS ?= $(shell "$(PYTHON)" -c "import os; print((os.cpu_count() or 1) * 3 // 2)" 2>/dev/null || echo auto)
# Every plugin goes into the environment with the project, so that its tests run there too. Plugins for an engine, such
# as a load generator or a cluster, go there without the engine, which would bring many packages and choose versions for
# everything else: what needs it is tested in .venv-interop-NAME.
PLUGIN_FOLDERS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
FOR_ENGINES := $(filter %-locust %-ray,$(PLUGIN_FOLDERS))
PLUGINS := $(patsubst %,--editable './%[dev]',$(filter-out $(FOR_ENGINES),$(PLUGIN_FOLDERS)))
PIP := -m pip --disable-pip-version-check --no-input

# The first of the given interpreters that runs and can make an environment. Being on PATH proves neither:
# a version manager leaves shims for versions that are not active, and some systems package venv apart.
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
first_usable = $(shell for python in $(1); do \
	if "$$python" -c "$(USABLE)" </dev/null >/dev/null 2>&1; then echo "$$python"; break; fi; done)
# Where to look for Python X.Y: on PATH, then among the versions of a version manager.
places = python$(1) $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/$(1).*/bin/python)

PYTHON ?= $(call first_usable,python3.13 python3.12 python3.11 python3 python)

.PHONY: help
help:
	@echo "make demo         stream a text over every transport, in every style"
	@echo "make test         run the tests (ARGS=... goes to pytest)"
	@echo "make test-all     run the tests on each Python of: $(SUPPORTED)"
	@echo "make test-lowest  run the tests with the oldest versions that pyproject.toml allows, on Python $(firstword $(SUPPORTED))"
	@echo "make fuzz         fuzz the codecs under coverage (FUZZ_SECONDS=... for each of: $(FUZZ_TARGETS))"
	@echo "make check        lint, types and tests: what CI runs"
	@echo "make fix          let ruff fix what it can, and format"
	@echo "make coverage     the tests with branch coverage; fails below $(COVERAGE_FLOOR) %"
	@echo "make programs     install the programs that some tests need, with apt-get as root"
	@echo "make lint         ruff: rules and format; codespell: the spelling of pages and code"
	@echo "make types        mypy --strict"
	@echo "make bench        compare with other clients and with a bare-socket baseline (ARGS=... goes to tests.benchmarks.bench)"
	@echo "make bench-quick  compare only with the baseline, in less than a minute"
	@echo "make bench-against REF=COMMIT   compare the start, short runs and bursts with another commit's"
	@echo "make bench-plugins measure the transports of plugins against our sse and against official clients"
	@echo "make bench-gateway measure gateways: CPU for a relayed chunk and memory, compared with other clients"
	@echo "make bench-bridge measure the overhead of a library as a transport"
	@echo "make bench-fake   measure the fake agent: events per second, simultaneous streams, start, cost per test"
	@echo "make bench-fake-against REF=COMMIT   compare the fake agent with another commit's"
	@echo "make soak         chaos, load and floods at full size (ARGS=\"--only chaos --seed 7\")"
	@echo "make interop      test with third-party software: nginx, a proxy, TLS, Chromium, curl, other servers, the published package"
	@echo "make kit          run the conformance kit, also in the clean environment of a plugin's author"
	@echo "make docs         build the site of the documentation into build/docs/site; fails on every warning and dead link"
	@echo "make lock         write constraints.txt again"
	@echo "make newcomer     time a newcomer's path from the built wheel: install, demo, program, test, transport"
	@echo "make packages     build the wheels and source distributions of the project and of every plugin into dist/"
	@echo "make venv         set up $(VENV) only (PYTHON=... chooses the interpreter)"
	@echo "make clean        remove environments and caches"

.PHONY: venv
venv: $(STAMP)

# The build backend goes in first, from the constraints: build isolation would fetch an unpinned one.
$(STAMP): pyproject.toml $(CONSTRAINTS) $(wildcard plugins/*/pyproject.toml)
	@python="$(PYTHON)"; \
	if ! "$${python:-false}" -c "$(USABLE)" </dev/null >/dev/null 2>&1; then \
		echo "No usable Python 3.11+ with its venv module$${python:+ at $$python}:" \
			"install one, or name it: make PYTHON=/path/to/python" >&2; \
		exit 1; \
	fi; \
	if ! $(BIN)/python -c "" 2>/dev/null; then \
		echo "Making $(VENV) with $$("$$python" --version)"; \
		"$$python" -m venv --clear $(VENV); \
	fi
	@echo "Installing the versions of $(CONSTRAINTS) into $(VENV)"
	@$(BIN)/python $(PIP) install -qq --constraint $(CONSTRAINTS) hatch-fancy-pypi-readme hatchling editables </dev/null
	@$(BIN)/python $(PIP) install -qq --no-warn-conflicts --constraint $(CONSTRAINTS) --no-build-isolation --editable '.[dev]' $(PLUGINS) </dev/null
	@$(if $(FOR_ENGINES),$(BIN)/python $(PIP) install -qq --no-deps --no-build-isolation $(FOR_ENGINES:%=--editable ./%) </dev/null)
	@touch $@

.PHONY: demo
demo: $(STAMP)
	@$(BIN)/runagent demo

.PHONY: test
test: $(STAMP)
	@$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --dist worksteal $(ARGS)

.PHONY: test-all
test-all:
	@failed=; found=; \
	$(foreach version,$(SUPPORTED), \
		python="$(call first_usable,$(call places,$(version)))"; \
		if [ -z "$$python" ]; then \
			echo "== Python $(version): not found, not tested"; \
		else \
			echo "== Python $(version): $$python"; found=1; \
			$(MAKE) --no-print-directory test VENV=.venv-$(version) PYTHON="$$python" || failed="$$failed $(version)"; \
		fi;) \
	if [ -z "$$found" ]; then echo "None of Python $(SUPPORTED) found" >&2; exit 1; fi; \
	if [ -n "$$failed" ]; then echo "Failed on Python$$failed" >&2; exit 1; fi

# constraints-lowest.txt has each direct requirement at its lower bound; a test compares it with pyproject.toml.
.PHONY: test-lowest
test-lowest:
	@python="$(call first_usable,$(call places,$(firstword $(SUPPORTED))))"; \
	if [ -z "$$python" ]; then echo "make test-lowest needs Python $(firstword $(SUPPORTED))" >&2; exit 1; fi; \
	$(MAKE) --no-print-directory test VENV=.venv-lowest PYTHON="$$python" CONSTRAINTS=constraints-lowest.txt

# The fuzzer has wheels for some systems only and is not part of `dev`: it gets a separate environment.
FUZZ_VENV := .venv-fuzz
FUZZ_STAMP := $(FUZZ_VENV)/.installed

$(FUZZ_STAMP): pyproject.toml constraints.txt
	@echo "Making $(FUZZ_VENV)"
	@"$(or $(PYTHON),false)" -m venv --clear $(FUZZ_VENV)
	@$(FUZZ_VENV)/bin/python $(PIP) install -qq --constraint constraints.txt hatch-fancy-pypi-readme hatchling editables </dev/null
	@$(FUZZ_VENV)/bin/python $(PIP) install -qq --constraint constraints.txt --no-build-isolation --editable . </dev/null
	@$(FUZZ_VENV)/bin/python $(PIP) install -qq atheris==3.0.0 </dev/null
	@touch $@

# Each target has its time, also after another one has failed.
.PHONY: fuzz
fuzz: $(FUZZ_STAMP)
	@failed=; \
	for target in $(FUZZ_TARGETS); do \
		echo "== $$target, $(FUZZ_SECONDS) s"; \
		$(FUZZ_VENV)/bin/python -m tests.fuzz.run $$target --seconds $(FUZZ_SECONDS) || failed="$$failed $$target"; \
	done; \
	if [ -n "$$failed" ]; then echo "Invariants broken:$$failed; see tests/fuzz/corpus" >&2; exit 1; fi

.PHONY: newcomer
newcomer: $(STAMP)
	@$(BIN)/python -m tests.newcomer.walk $(ARGS)

# Into an empty folder: what lies there is what would be uploaded.
.PHONY: packages
packages: $(STAMP)
	@rm -rf dist
	@for project in . $(dir $(wildcard plugins/*/pyproject.toml)); do \
		$(BIN)/python -m build --quiet --no-isolation --outdir dist "$$project" || exit 1; \
	done
	@ls dist

.PHONY: check
check: lint types test

.PHONY: fix
fix: $(STAMP)
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format .

# The processes of the tests, and those that they start, each write a file; they are put together at the end, also if a
# test has failed: tests of time may, as everything takes longer under coverage.
.PHONY: coverage
coverage: $(STAMP)
	@rm -f .coverage .coverage.*
	@status=0; \
	$(BIN)/coverage run -m pytest -q -n $(JOBS) --maxprocesses 8 --dist worksteal $(ARGS) || status=$$?; \
	$(BIN)/coverage combine --quiet; \
	$(BIN)/coverage report --skip-covered --skip-empty --sort=cover --fail-under=$(COVERAGE_FLOOR) || status=$$?; \
	exit $$status

.PHONY: lint
lint: $(STAMP)
	$(BIN)/ruff check --output-format concise .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

.PHONY: types
types: $(STAMP)
	$(BIN)/mypy

# The other clients get a separate environment: they are not needed to work on the project.
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed

$(BENCH_STAMP): pyproject.toml constraints.txt tests/benchmarks/peers.txt
	@echo "Making $(BENCH_VENV)"
	@"$(or $(PYTHON),false)" -m venv --clear $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python $(PIP) install -qq --constraint constraints.txt hatch-fancy-pypi-readme hatchling editables </dev/null
	@$(BENCH_VENV)/bin/python $(PIP) install -qq --constraint constraints.txt --no-build-isolation \
		--editable '.[trio]' --requirement tests/benchmarks/peers.txt </dev/null
	@touch $@

.PHONY: bench bench-quick
bench: $(BENCH_STAMP)
	@$(BENCH_VENV)/bin/python -m tests.benchmarks.bench $(ARGS)

bench-quick: $(BENCH_STAMP)
	@$(BENCH_VENV)/bin/python -m tests.benchmarks.bench --quick $(ARGS)

.PHONY: bench-against
bench-against: $(BENCH_STAMP)
	@$(BENCH_VENV)/bin/python -m tests.benchmarks.against "$(or $(REF),$(error REF names the commit to compare with))" $(ARGS)

.PHONY: bench-bridge
bench-bridge: $(STAMP)
	@$(BIN)/python -m tests.benchmarks.bench_bridge $(ARGS)

.PHONY: soak
soak: $(STAMP)
	@$(BIN)/python -m tests.soak.run $(ARGS)

.PHONY: bench-fake
bench-fake: $(STAMP)
	@$(BIN)/python -m tests.benchmarks.bench_fake $(ARGS)

.PHONY: bench-fake-against
bench-fake-against: $(STAMP)
	@$(BIN)/python -m tests.benchmarks.fake_against "$(or $(REF),$(error REF names the commit to compare with))" $(ARGS)

# Third-party software. Each file NAME.txt in the folder lists the packages of the environment .venv-interop-NAME:
# the published package has this one's name, and others would force versions on our dependencies.
REQUIREMENTS := tests/interop/requirements
INTEROP_STAMPS := $(patsubst $(REQUIREMENTS)/%.txt,.venv-interop-%/.installed,$(wildcard $(REQUIREMENTS)/*.txt))

.venv-interop-%/.installed: $(REQUIREMENTS)/%.txt | $(STAMP)
	@echo "Installing $< into .venv-interop-$*"
	@$(BIN)/python -m venv --clear .venv-interop-$*
	@.venv-interop-$*/bin/python $(PIP) install -qq --requirement $< </dev/null
	@touch $@

# The packages of node that the lock file lists, without the scripts that packages run when they are installed. The
# stamp is only made if there is an npm, so that a later run tries again.
NODE_REQUIREMENTS := $(REQUIREMENTS)/node
NODE_PACKAGES := .venv-interop-node

.PHONY: node-packages
node-packages:
	@tests/interop/install_programs.sh node npm
	@if [ $(NODE_PACKAGES)/.installed -nt $(NODE_REQUIREMENTS)/package-lock.json ]; then exit 0; fi; \
	if ! command -v npm >/dev/null; then exit 0; fi; \
	echo "Installing the packages of $(NODE_REQUIREMENTS) into $(NODE_PACKAGES)"; \
	rm -rf $(NODE_PACKAGES); mkdir $(NODE_PACKAGES); cp $(NODE_REQUIREMENTS)/*.json $(NODE_PACKAGES); \
	npm ci --prefix $(NODE_PACKAGES) --ignore-scripts --no-audit --no-fund --loglevel error </dev/null; \
	touch $(NODE_PACKAGES)/.installed

# Never fails: if a program cannot be installed, the tests that need it are skipped, with the reason.
.PHONY: programs
programs:
	@tests/interop/install_programs.sh nginx tinyproxy curl

.PHONY: interop
interop: $(STAMP) $(INTEROP_STAMPS) programs node-packages
	@tests/interop/install_programs.sh chromium-headless-shell
	@$(BIN)/python -m pytest --interop -n $(JOBS) --maxprocesses 8 --dist worksteal tests/interop $(ARGS)

.PHONY: bench-gateway
bench-gateway: $(STAMP) .venv-interop-gateways/.installed
	@$(BIN)/python -m tests.benchmarks.bench_gateway $(ARGS)

.PHONY: bench-plugins
bench-plugins: $(STAMP) $(INTEROP_STAMPS) node-packages
	@$(BIN)/python -m tests.benchmarks.bench_plugins $(ARGS)

# First the pages of docs/reference, which are made of the code; a test fails if they are stale.
# The site's builders bring their own versions of common packages: they get a separate environment.
DOCS_STAMP := .venv-docs/.installed

$(DOCS_STAMP): docs/requirements.txt | $(STAMP)
	@echo "Installing $< into .venv-docs"
	@$(BIN)/python -m venv --clear .venv-docs
	@.venv-docs/bin/python $(PIP) install -qq --requirement $< </dev/null
	@touch $@

.PHONY: docs
docs: $(STAMP) $(DOCS_STAMP)
	@tests/interop/install_programs.sh chromium-headless-shell
	@$(BIN)/python -m tests.docs.reference.write
	@$(BIN)/python -m tests.docs.site
	@$(BIN)/python -m tests.docs.shots

.PHONY: kit
kit: $(STAMP)
	@RUNAGENT_KIT_CLEAN=1 $(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --dist worksteal \
		tests/runagent_testing/conformance plugins $(ARGS)

# Written on the oldest supported Python: a version that runs there runs on the newer ones too, and
# packages that only an old Python needs are in the list.
.PHONY: lock
lock:
	@python="$(call first_usable,$(call places,$(firstword $(SUPPORTED))))"; \
	if [ -z "$$python" ]; then echo "make lock needs Python $(firstword $(SUPPORTED))" >&2; exit 1; fi; \
	rm -rf .venv-lock; trap 'rm -rf .venv-lock' EXIT; \
	"$$python" -m venv .venv-lock; \
	.venv-lock/bin/python $(PIP) install -qq '.[dev]' $(PLUGINS) </dev/null; \
	{ \
		echo "# Every version that make installs, on CPython $(SUPPORTED). Written by: make lock"; \
		.venv-lock/bin/python $(PIP) freeze --exclude-editable --exclude runagent; \
	} > .venv-lock/constraints; \
	mv .venv-lock/constraints constraints.txt; \
	echo "constraints.txt: $$(grep -c == constraints.txt) versions"

.PHONY: clean
clean:
	rm -rf .venv .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
