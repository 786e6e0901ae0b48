# Every target is a command of the README; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.set-up

CACHE ?= cache
PRECOMPUTED ?=
IS_PRECOMPUTED := $(filter-out 0,$(PRECOMPUTED))
DATASETS ?= $(if $(IS_PRECOMPUTED),gtzan_ff giantsteps_clips magnatagatune emomusic,synthband)
REPRESENTATIONS ?= $(if $(IS_PRECOMPUTED),chroma mfcc choi musicnn clmr jukebox,chroma mfcc stemjepa stemjepa-untrained stemjepa-reproduce)
LAYERS ?=
DEFORM ?=
PROTOCOL ?= linear
SEED ?=
FOLDS ?=
SONGS ?= 600
STEPS ?=
TRAINING_DATASET ?= synthband_stems
JOBS ?=
BATCH_SIZE ?= 256
RUNNER ?= local
CONTAINER ?=
PARTITION ?=
ACCOUNT ?=
GPUS ?=
BASE_IMAGE ?= python:3.11-slim
TORCH_INDEX ?=
IMAGE ?=
IMAGES ?=
WEIGHTS ?=
COST ?=
PYTEST_ARGS ?=

REPRODUCE = $(BIN)/python scripts/reproduce.py --cache "$(CACHE)" --datasets "$(DATASETS)" --representations "$(REPRESENTATIONS)" \
	--layers "$(LAYERS)" --deform "$(DEFORM)" --protocol "$(PROTOCOL)" --seed "$(SEED)" --folds "$(FOLDS)" --songs "$(SONGS)" --jobs "$(JOBS)" --batch-size "$(BATCH_SIZE)" \
	--training-dataset "$(TRAINING_DATASET)" $(if $(STEPS),--steps "$(STEPS)") $(if $(IS_PRECOMPUTED),--precomputed) --runner "$(RUNNER)" \
	--container "$(CONTAINER)" --partition "$(PARTITION)" --account "$(ACCOUNT)" $(if $(GPUS),--gpus "$(GPUS)")

# Files with tests of a mark: reading all of them takes longer than some of these runs need.
MARKED = $$(grep -rlE --include='*.py' 'mark\.$(1)\b' tests | sort)

# The first while the images are built, the longest not at the end, when one worker would wait.
DOCKER_FIRST = tests/launch/test_running.py tests/containers/test_images.py tests/end_to_end/test_reproduce_docker.py

.PHONY: demo help setup test test-slow test-docker test-slurm test-gpu lint format reproduce plan images conform docs bench clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make reproduce DATASETS=… REPRESENTATIONS=… LAYERS=… DEFORM=… PROTOCOL=linear|jukemir|lineareval SEED=… FOLDS=… SONGS=… STEPS=… TRAINING_DATASET=… PRECOMPUTED=1 CACHE=… JOBS=… RUNNER=local|docker|slurm CONTAINER=apptainer"
	@echo "  make reproduce RUNNER=slurm PARTITION=… ACCOUNT=… GPUS=… (of a job that trains; and all of the above; JOBS: how many at one time)"

setup: $(SETUP)  ## Make the virtual environment .venv and install everything

$(SETUP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=…" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make a virtual environment: install python3-venv" >&2; exit 2; }
	@echo "Setting up $(VENV) (about 1.5 GB, a minute or two) …"
	@PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[workflow,train,wandb,docs,dev]'
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --constraint constraints.txt tinysoundfont
	@touch $@

test: $(SETUP)  ## Run the tests
	$(BIN)/pytest -n auto $(PYTEST_ARGS)

test-slow: $(SETUP)  ## Run the slow tests: the whole line killed and resumed, the README's commands
	$(BIN)/pytest -n auto --dist loadgroup -m "slow and not docker and not slurm" $(PYTEST_ARGS) $(call MARKED,slow)

test-docker: $(SETUP)  ## Run the tests that need a Docker engine: images, their contract, the line in images
	@test "$$REQUIRE_DOCKER" != 1 || .ci/engine > /dev/null  # an engine, an image to build on, busybox
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m docker $(PYTEST_ARGS) \
		$(DOCKER_FIRST) $(call MARKED,docker)

test-gpu: $(SETUP)  ## Run the tests that need a GPU, and measure it (see docs/gpu.md)
	$(BIN)/pytest -m gpu tests/gpu tests/probes tests/stemjepa $(PYTEST_ARGS)
	$(BIN)/python -m bench.gpu

test-slurm: $(SETUP)  ## Run the tests that need a SLURM cluster: the line as its jobs, jobs and nodes that end in the middle
	@test "$$REQUIRE_SLURM" != 1 || .ci/slurm > /dev/null  # a cluster of two nodes on this machine
	$(BIN)/pytest -m slurm $(PYTEST_ARGS) $(call MARKED,slurm)

lint: $(SETUP)  ## Check style, types and the order of packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(SETUP)  ## Bring the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reproduce: $(SETUP)  ## From nothing to a results page: cache/report/index.html
	@$(REPRODUCE)

demo: $(SETUP)  ## Hear which stem fits: compose songs, take the bass out of one, and write a page with sound, cache/demo/fits.html
	@$(BIN)/python scripts/demo.py --cache "$(CACHE)"

plan: $(SETUP)  ## Say what `make reproduce` would run; COST=1: what datasets and representations cost, those named or all
	@$(REPRODUCE) --plan $(if $(filter-out 0,$(COST)),--cost \
		$(if $(IS_PRECOMPUTED)$(filter-out file,$(origin DATASETS)),,--datasets "") \
		$(if $(IS_PRECOMPUTED)$(filter-out file,$(origin REPRESENTATIONS)),,--representations ""))

images:  ## Build the images of all stages, and write down what is in them (BASE_IMAGE=… TORCH_INDEX=… IMAGES=… WEIGHTS=…)
	@$(PYTHON) scripts/images.py --base "$(BASE_IMAGE)" --torch-index "$(TORCH_INDEX)" --weights "$(WEIGHTS)" --cache "$(CACHE)" $(IMAGES)

conform: $(SETUP)  ## Check whether IMAGE=… keeps the contract of a representation's image (WEIGHTS=…)
	@$(BIN)/jukemir-like conform $(IMAGE) $(foreach encoder,$(WEIGHTS),--weights "$(CACHE)/weights/$(encoder)")

docs: $(SETUP)  ## Build the documentation as a site, site/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "The documentation: site/index.html (with its search: $(BIN)/python -m http.server --directory site)"

bench: $(SETUP)  ## Measure speed and memory, and write docs/benchmarks.md
	$(BIN)/python -m bench

clean:  ## Remove the virtual environment and what tools left (not the cache)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
