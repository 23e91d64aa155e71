# Everything here sets itself up: the virtual environment is made once and made anew when the requirements change.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/ready
# two at a time; what a file makes for all its tests is made once
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile
BINDER = .venv-binder
# two BLAS threads on a busy machine wait for each other ten times as long as one works
export OPENBLAS_NUM_THREADS = 1
export OMP_NUM_THREADS = 1

.PHONY: lab explorers test check demo bench lint notebooks handout badges binder clean

# without root_dir JupyterLab sees the folder of the notebook only, and no picture beside it
lab: $(READY)  ## JupyterLab, opened on the first notebook
	$(BIN)/jupyter lab --ServerApp.root_dir=. notebooks/00_start_here.ipynb

explorers: $(READY)  ## the explorers in tabs, as a web page without a notebook around them
	$(BIN)/voila scripts/explorers.ipynb

test: $(READY) lint  ## every test: library, doctests, notebooks, and the browser if chromium is there
	$(PYTEST)
	$(PYTEST) -p no:cacheprovider --nbval --nbval-current-env \
		--nbval-sanitize-with=tests/notebooks/nbval_sanitize.cfg --nbval-cell-timeout=120 notebooks

check: $(READY) lint  ## while at work: lint, types, doctests and the fast tests, in less than two minutes
	$(PYTEST) -m "not slow and not browser and not binder"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

demo: $(READY)  ## the main job without a browser: both models against noise, into demo/
	$(BIN)/rmt-lab demo --out demo

bench: $(READY)  ## speed and agreement, side by side with powerlaw and WeightWatcher
	$(BIN)/python -m benchmarks

# what a reader has predicted is kept in memory only, so that no outcome is shown beside a left-over prediction
notebooks test: export RMT_LAB_ANSWERS =
notebooks: $(READY)  ## run every notebook afresh and keep its outputs
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.store_widget_state=False --ExecutePreprocessor.record_timing=False $(wildcard notebooks/*.ipynb notebooks/extras/*.ipynb)

handout: $(READY)  ## the notebooks for a class: without solutions for students, for nbgrader for instructors
	$(BIN)/python scripts/handout.py

badges: $(READY)  ## the badges of README and notebooks, after a change of the repository's address in pyproject.toml
	$(BIN)/python scripts/badges.py

binder: $(BINDER)/ready  ## what mybinder.org makes, from PyPI and without torch; then `make test` runs every notebook in it, too

$(BINDER)/ready: binder/environment.yml constraints.txt
	$(PYTHON) -m venv --clear $(BINDER)
	sed '1,/^dependencies:/d; /- python=/d; /- pip:*$$/d; s/^ *- //; s/-base//' binder/environment.yml > $(BINDER)/requirements.txt
	$(BINDER)/bin/python -m pip install --quiet --constraint constraints.txt --requirement $(BINDER)/requirements.txt
	$(PYTHON) -m venv $(BINDER)/repo2docker
	$(BINDER)/repo2docker/bin/python -m pip install --quiet jupyter-repo2docker
	touch $@

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) $(BINDER) demo handout screenshots
