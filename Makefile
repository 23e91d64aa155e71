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

.PHONY: lab explorers test check lowest no-torch dist demo hub-figures bench lint notebooks site pdf lite handout badges binder clean

# without root_dir JupyterLab sees the folder of the notebook only, and no picture beside it
lab: $(READY)  ## JupyterLab, opened on the first notebook
	$(BIN)/jupyter lab --ServerApp.root_dir=. notebooks/00_start_here.ipynb

explorers: $(READY)  ## the explorers in tabs, as a web page without a notebook around them
	$(BIN)/voila scripts/explorers.ipynb

# under load a progress bar may come up, which is no committed output
test: $(READY) lint  ## every test: library, doctests, notebooks, and the browser if chromium is there
	$(PYTEST)
	TQDM_DISABLE=1 $(PYTEST) -p no:cacheprovider --nbval --nbval-current-env \
		--nbval-sanitize-with=tests/notebooks/nbval_sanitize.cfg --nbval-cell-timeout=120 notebooks

check: $(READY) lint  ## while at work: lint, types, doctests and the fast tests, in less than two minutes
	$(PYTEST) -m "not slow and not browser and not binder"

FAST = -n 2 --dist loadfile -m "not slow and not browser and not binder" -p no:cacheprovider

# Old packages beside new ones that they need give warnings, so these are no errors here. The test that is left out
# compares damaged files with what torch reads, and torch 2.5 reads a record that is too short without a word.
lowest:  ## the fast tests with the lowest versions that pyproject.toml allows, in an environment of their own
	mkdir -p build
	$(PYTHON) scripts/lowest.py > build/lowest.txt
	$(PYTHON) -m venv --clear build/lowest
	build/lowest/bin/python -m pip install --quiet --constraint build/lowest.txt \
		--editable ".[models,lab,rivals,cluster,pdf,keras,onnx]" pytest pytest-xdist hypothesis
	build/lowest/bin/python -m pytest $(FAST) --override-ini filterwarnings= \
		--deselect tests/weights/test_hostile.py::test_500_changed_files

no-torch:  ## the fast tests without torch, transformers and ray
	$(PYTHON) -m venv --clear build/no-torch
	build/no-torch/bin/python -m pip install --quiet --constraint constraints.txt \
		--editable ".[lab,rivals,cluster,pdf,keras,onnx]" safetensors gguf pytest pytest-xdist hypothesis
	build/no-torch/bin/python -m pytest $(FAST)

dist: $(READY)  ## sdist and wheel, checked; the wheel installed and used on every Python at hand
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/python scripts/smoke.py dist/*.whl

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

demo: $(READY)  ## the main job without a browser: both models against noise, into demo/
	$(BIN)/rmt-lab demo --out demo

hub-figures: $(READY)  ## both main results from BERT, GPT and GPT-2 themselves, where there is a network: into hub-figures/
	$(BIN)/python scripts/hub_figures.py

bench: $(READY)  ## speed and agreement, side by side with powerlaw and WeightWatcher
	$(BIN)/python -m benchmarks

# what a reader has predicted is kept in memory only, so that no outcome is shown beside a left-over prediction
notebooks test: export RMT_LAB_ANSWERS =
notebooks: $(READY)  ## run every notebook afresh and keep its outputs
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.store_widget_state=False --ExecutePreprocessor.record_timing=False $(wildcard notebooks/*.ipynb notebooks/extras/*.ipynb)

site: $(READY)  ## the site: course, explorers, guides, reference; a folder for a web server, build/site/
	$(BIN)/python scripts/make_site.py

pdf: $(READY)  ## the course on paper, without solutions: build/course.pdf, and on the site if it is there
	$(BIN)/python scripts/make_pdf.py

handout: $(READY)  ## the notebooks for a class: without solutions for students, for nbgrader for instructors
	$(BIN)/python scripts/handout.py

badges: $(READY)  ## badges and install cells, after a change of the repository's address in pyproject.toml
	$(BIN)/python scripts/badges.py

lite: $(READY)  ## the course for JupyterLite, Python in the browser: into build/site/lite, after `make site`
	$(BIN)/python scripts/make_lite.py

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
	rm -rf $(VENV) $(BINDER) build dist demo handout hub-figures screenshots notebooks/my_model.html
