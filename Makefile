# Two commands are all: `make run` serves the product, `make test` tests it. Both make .venv first.
# Written for GNU make 3.81 and later. It needs Python with venv, and the network for the first installation.

VENV = .venv
# Whichever of these is the first that will do makes the virtual environment.
PYTHON = python3.13 python3.12 python3.11 python3 python
# More arguments: make run ARGS="--port 8080", make test ARGS="-k pool", make lock ARGS=--upgrade
ARGS =

# Tests start servers hundreds of times: without files of bytecode, each process would compile all modules anew.
WITH_BYTECODE = PYTHONDONTWRITEBYTECODE=

PIP_INSTALL = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-input
# Both are touched when what they name is installed, so that nothing is installed twice.
RUN_STAMP = $(VENV)/.installed-run
DEV_STAMP = $(VENV)/.installed-dev
NODE_STAMP = node_modules/.installed
# The Node.js that is locked with the Python packages, and no other: it is the same on every machine.
NPM = PATH="$$(cd $(VENV)/bin && pwd):$$PATH" npm

# Versions: requires-python in pyproject.toml. Debian's python3 comes without ensurepip until python3-venv is there.
IS_USABLE = import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
MINOR_VERSION = import sys; print("%d.%d" % sys.version_info[:2])

.DEFAULT_GOAL = help
.DELETE_ON_ERROR:
.PHONY: help run test quick coverage sim soak drill bench lint lint-python lint-js format lock clean same-python

help: ## list these commands
	@echo 'studymatch: press Find Partner and sit face to face with someone to study with'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  make run ARGS="--help"             how to set it up (ARGS reaches serve, pytest, uv)'
	@echo '  make PYTHON=/path/to/python run    choose the Python that .venv is made with'

run: $(RUN_STAMP) ## serve the product on its embedded database and print the address
	$(VENV)/bin/studymatch serve $(ARGS)

test: $(DEV_STAMP) ## pass all tests
	$(WITH_BYTECODE) $(VENV)/bin/python -m pytest --numprocesses auto --dist loadgroup $(ARGS)

quick: $(DEV_STAMP) ## pass the tests of the two lower floors only
	$(WITH_BYTECODE) $(VENV)/bin/python -m pytest --numprocesses auto --dist loadgroup tests/actors tests/studymatch $(ARGS)

coverage: $(DEV_STAMP) ## pass all tests, and list the lines and branches that none of them runs
	$(VENV)/bin/coverage erase
	$(WITH_BYTECODE) $(VENV)/bin/coverage run -m pytest --numprocesses auto --dist loadgroup $(ARGS); code=$$?; \
	$(VENV)/bin/coverage combine --quiet && $(VENV)/bin/coverage report && exit $$code

sim: $(DEV_STAMP) ## simulate halls of people, seed by seed (ARGS="--seeds 1000 --minutes 5", "--plants", "--help")
	$(VENV)/bin/python -m tests.simulation $(ARGS)

bench: $(DEV_STAMP) ## compare with other servers, for hours (ARGS="--people 1000 --only herd --runs 1", "--help")
	$(VENV)/bin/python -m benchmarks.compare $(ARGS)

soak: $(DEV_STAMP) ## sail a fleet through faults and restarts (ARGS="--minutes 30 --people 200 --seed 7")
	$(WITH_BYTECODE) $(VENV)/bin/python -m tests.faults $(ARGS)

drill: $(DEV_STAMP) ## attack a server beside people in calls (ARGS="--short", "--only pings skips", "--help")
	$(WITH_BYTECODE) $(VENV)/bin/python -m tests.drill $(ARGS)

lint: lint-python lint-js ## check style, types and spelling, of Python and of JavaScript

lint-python: $(DEV_STAMP)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell

lint-js: $(NODE_STAMP)
	$(NPM) run --silent all

format: $(DEV_STAMP) $(NODE_STAMP) ## put all code into the house style
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format
	$(NPM) run --silent format

UV_COMPILE = $(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --custom-compile-command 'make lock' \
	pyproject.toml $(ARGS)

lock: $(DEV_STAMP) ## write both requirements files anew from pyproject.toml
	$(UV_COMPILE) --group build --output-file requirements.txt
	$(UV_COMPILE) --group dev --constraint requirements.txt --output-file requirements-dev.txt

clean: ## remove all that can be made again; the data folder stays
	rm -rf $(VENV) node_modules benchmarks/peer/node_modules build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis test-results .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@for python in $(PYTHON); do \
		if "$$python" -c '$(IS_USABLE)' 2>/dev/null; then \
			echo "Making $(VENV) with $$("$$python" --version)"; \
			exec "$$python" -m venv --clear $(VENV); \
		fi; \
	done; \
	echo 'studymatch needs Python 3.11, 3.12 or 3.13 with its venv module; tried: $(PYTHON).' >&2; \
	echo 'Install one (Debian, Ubuntu: apt-get install python3-venv), or name one: make PYTHON=/path/to/python' >&2; \
	exit 1

# A Python asked for by name that is not the one in use would be ignored in silence.
ifeq ($(origin PYTHON),command line)
$(RUN_STAMP) $(DEV_STAMP): | same-python
same-python: | $(VENV)/bin/python
	@wanted=$$($(PYTHON) -c '$(MINOR_VERSION)') && found=$$($(VENV)/bin/python -c '$(MINOR_VERSION)') && \
	if test "$$wanted" != "$$found"; then \
		echo "$(VENV) is of Python $$found and not $$wanted: make clean first, or name another folder with VENV=" >&2; \
		exit 1; \
	fi
endif

$(RUN_STAMP): requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo 'Installing what studymatch runs on (about a minute, the first time)'
	@$(PIP_INSTALL) --require-hashes -r requirements.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# The development packages contain the run-time ones, at the same versions: tests/test_lock.py holds that.
$(DEV_STAMP): requirements-dev.txt pyproject.toml | $(VENV)/bin/python
	@echo 'Installing what studymatch is developed with (about a minute, the first time)'
	@$(PIP_INSTALL) --require-hashes -r requirements-dev.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $(RUN_STAMP) $@

$(NODE_STAMP): package.json package-lock.json | $(DEV_STAMP)
	@echo 'Installing what the JavaScript is checked with'
	@$(NPM) ci --include=dev --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@
