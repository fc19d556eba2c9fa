# The two commands of the README are `make demo` and `make test`; each does all of its own set-up.
# Needs Python 3.11 or newer, make, and a package index.

PYTHON ?= python3
VENV   ?= .venv
PROCESSES ?= 3
# Compiled once, whatever the caller's shell says: the tests start Python some thousand times, and without what the first
# start has written each compiles all of its modules anew.
unexport PYTHONDONTWRITEBYTECODE
BIN     = $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test soak lint format bench bench-agents bench-runs bench-send clean

help:
	@echo "make demo   a tour: a real daemon, one whole life; some 10 seconds, on a busy machine 25"
	@echo "make test   all tests, in a virtual environment of their own (.venv)"
	@echo "make soak   what takes hours to show: make soak PART=hammer FOR=10m for one part (soak/run.py has the list)"
	@echo "make lint   formatting, lint and types"
	@echo "make bench        all that is promised of speed and cost, beside redis, DBOS and others; some minutes"
	@echo "make bench-agents what a heartbeat, an agent's memory and a start cost with 100,000 agents"
	@echo "make bench-runs   what durable steps cost beside DBOS, and requests while a step burns all cores"
	@echo "make bench-send   what torpor send costs beside the bare interpreter"
	@echo "make clean  remove the virtual environment and what tools leave behind"

# A stamp a set of dependencies: made anew when pyproject.toml changes, or the script that is installed.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "torpor needs Python 3.11 or newer, $(PYTHON) is older: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: pyproject.toml client/bin/torpor | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test: pyproject.toml client/bin/torpor | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.run

$(VENV)/.lint: pyproject.toml client/bin/torpor | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	@touch $@ $(VENV)/.run $(VENV)/.test

# An environment of its own: what DBOS brings (greenlet, say) others of our libraries load where they find it.
$(VENV)-bench/.made: pyproject.toml client/bin/torpor
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

demo: $(VENV)/.run
	@$(BIN)/torpor demo

# Three processes for two cores: half of the time goes into waiting for real daemons. A fourth makes it no faster.
test: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist worksteal $(ARGS)

soak: $(VENV)/.test
	$(BIN)/python soak/run.py $(PART) $(if $(FOR),--for $(FOR))

lint: $(VENV)/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# ARGS="--rounds 9 --only events", say.
bench: $(VENV)/.run $(VENV)-bench/.made
	@BENCH_DBOS=$(VENV)-bench/bin/python $(BIN)/python bench/bench.py $(ARGS)

bench-agents: $(VENV)/.run
	@$(BIN)/python bench/agents.py

bench-runs: $(VENV)/.run $(VENV)-bench/.made
	@BENCH_DBOS=$(VENV)-bench/bin/python $(BIN)/python bench/runs.py

bench-send: $(VENV)/.run
	@$(BIN)/python bench/send.py

clean:
	rm -rf $(VENV) $(VENV)-bench .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
