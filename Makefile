# Every target makes the environment it needs in .venv, from locked requirements, without root.
# A second call finds it made. `make` alone lists the targets.

VENV := .venv
BIN  := $(VENV)/bin
ARGS ?=

# The whole suite runs in up to four processes, one more than cores, a file of tests in one of them, in
# the order of tests/conftest.py.
# `make test PARALLEL=` uses one.
PARALLEL ?= --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# The first interpreter here that is new enough; name another with `make PYTHON=/path/to/python3 ...`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

# One lock for Python 3.11 and newer on x86_64 and aarch64: it was solved on 3.11, and carries
# the hash of every file of each version. Indexes and proxies are those of your own pip configuration.
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check
SELF    := $(INSTALL) --no-deps --no-build-isolation --editable .

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench performance fuzz fuzz-decoders sim chaos soak attacks clients screenshots newcomer format lock clean sbom licences vulnerabilities wheelhouse size

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  Options for demo, test and bench go into ARGS, as in: make demo ARGS="--seed 7"'

demo: $(VENV)/runtime.stamp ## one shift of a weld cell, live in this terminal
	@$(BIN)/andon demo $(ARGS)

test: lint ## every check, then every test
	@$(BIN)/python -m pytest --cov --cov-report=term $(PARALLEL) $(ARGS)

lint: $(VENV)/dev.stamp ## formatting, rules, types, direction of imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

docs: $(VENV)/dev.stamp ## the documentation as a site that needs no internet, in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet && echo 'open build/site/index.html'

bench: $(VENV)/runtime.stamp ## how fast it is on this machine: make bench ARGS="--peers --html speed.html"
	@$(BIN)/andon bench speed $(ARGS)

performance: $(VENV)/runtime.stamp ## measure, beside peers, and write docs/performance.md
	@$(BIN)/andon bench speed --peers --docs docs/performance.md $(ARGS)

SEEDS ?= 0:500
sim: $(VENV)/dev.stamp ## the gateway in a simulated world, one run a seed: make sim SEEDS=0:10000
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.sim_gateway $(SEEDS) $(ARGS)

fuzz: $(VENV)/dev.stamp ## readers given damaged inputs: TARGETS=readings,config INPUTS=10000 SEED=1 PROCESSES=2
	@$(BIN)/python -m tests.fuzz $(if $(TARGETS),--targets $(TARGETS)) $(if $(INPUTS),--inputs $(INPUTS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(PROCESSES),--processes $(PROCESSES)) \
		$(if $(ENGINE),--engine $(ENGINE)) $(if $(ONLY),--only $(ONLY)) $(if $(INPUT),--input $(INPUT)) $(ARGS)

fuzz-decoders: $(VENV)/dev.stamp ## every payload format given 100,000 random messages: INPUTS=100000 SEED=1
	@$(BIN)/python -m tests.fuzz --targets decoder- --inputs $(or $(INPUTS),100000) \
		$(if $(SEED),--seed $(SEED)) $(if $(PROCESSES),--processes $(PROCESSES)) $(ARGS)

# How often to kill, and the seed to repeat; how long to soak, and ACCELERATED=1 as fast as it goes.
KILLS ?= 200
HOURS ?= 1

chaos: $(VENV)/dev.stamp ## kill a gateway at random, KILLS=200 [SEED=7], and count what is lost
	@$(BIN)/python -m tests.chaos --kills $(KILLS) $(if $(SEED),--seed $(SEED)) $(ARGS)

soak: $(VENV)/dev.stamp ## one gateway for HOURS=1 [ACCELERATED=1]: what it grows by
	@$(BIN)/python -m tests.soak --hours $(HOURS) $(if $(ACCELERATED),--accelerated) $(ARGS)

attacks: $(VENV)/dev.stamp ## every attack case by name, and the message that refuses it
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.attacks $(ARGS)

# No environment of ours is needed: continuous integration installs both side by side.
clients: ## real Node-RED, FUXA and Home Assistant in .clients, for tests/clients; says what is missing
	@$(PYTHON) -m tests.clients.install

screenshots: $(VENV)/dev.stamp clients ## alerts on the screens of real products, in build/screenshots
	@$(BIN)/python -m pytest -q tests/clients $(ARGS)
	@ls build/screenshots/*.png

# Nor here: it makes one in a clone.
newcomer: ## a newcomer's quarter of an hour, from a clone to an alert on the page, timed step by step
	@$(PYTHON) -m tests.newcomer $(ARGS)

format: $(VENV)/dev.stamp ## format the sources and mend what can be mended
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(VENV)/dev.stamp ## solve the locked requirements again, with the newest releases
	@$(INSTALL) pip-tools
	@rm -f requirements/runtime.txt requirements/dev.txt requirements/tools.txt
	@CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile $(LOCK) -o requirements/runtime.txt pyproject.toml
	@CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile $(LOCK) --extra dev \
		-c requirements/runtime.txt -o requirements/dev.txt pyproject.toml

	@CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile $(filter-out --build-deps-for editable,$(LOCK)) \
		-o requirements/tools.txt requirements/tools.in

LOCK := --quiet --generate-hashes --strip-extras --allow-unsafe --build-deps-for editable \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

# Tools that look at what is installed live in an environment of their own: none of it is shipped.
TOOLS := .venv-tools

sbom: $(VENV)/runtime.stamp $(TOOLS)/tools.stamp ## bill of materials (CycloneDX) in build/sbom.cdx.json
	@$(TOOLS)/bin/python -m supply.sbom --environment $(VENV) $(ARGS)

licences: $(VENV)/runtime.stamp ## licence of every package, against the list that is allowed
	@$(BIN)/python -m supply.licences --environment $(VENV) $(ARGS)

vulnerabilities: $(TOOLS)/tools.stamp ## known vulnerabilities; fails, with words, where nobody can be asked
	@$(TOOLS)/bin/python -m supply.vulnerabilities $(ARGS)

# The architecture and Python of the box that it is for.
ARCH  ?= $(shell uname -m)
PYVER ?= 3.11

wheelhouse: $(VENV)/runtime.stamp ## all that a box without internet installs: ARCH=aarch64|x86_64 PYVER=3.11, in build/
	@$(BIN)/python -m supply.wheelhouse --arch $(ARCH) --python $(PYVER) $(ARGS)

size: $(VENV)/runtime.stamp wheelhouse ## disk that a gateway takes, installed from the wheelhouse of this machine
	@rm -rf build/size && sh build/wheelhouse-$(shell uname -m)/install.sh build/size
	@$(BIN)/python -m supply.size --environment build/size --whole $(ARGS); found=$$?; rm -rf build/size; exit $$found

clean: ## remove the environment, caches and reports
	@rm -rf $(VENV) $(TOOLS) .clients build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'Andon needs Python 3.11 or newer, and none was found on PATH.'; \
		echo 'Name one: make PYTHON=/path/to/python3 ...'; exit 1; }
	@$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip --version >/dev/null || { rm -rf $(VENV); \
		echo 'This Python ($(PYTHON)) cannot make an environment: its venv module or ensurepip is missing.'; \
		echo 'On Debian and Ubuntu: apt-get install python3-venv. Or name another Python: make PYTHON=/path/to/python3 ...'; \
		exit 1; }

$(VENV)/runtime.stamp: requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo 'Installing locked requirements into $(VENV); this takes a minute or two, once.'
	@$(INSTALL) --require-hashes -r requirements/runtime.txt
	@$(SELF)
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo 'Installing locked requirements into $(VENV); this takes a minute or two, once.'
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@$(SELF)
	@touch $@ $(VENV)/runtime.stamp

$(TOOLS)/tools.stamp: requirements/tools.txt | $(BIN)/python
	@echo 'Installing locked tools into $(TOOLS); this takes a minute, once.'
	@test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/tools.txt
	@touch $@
