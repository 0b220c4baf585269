# Every lane starts from nothing but Python >= 3.11 and make; `make setup` is done when first needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CHECK := build/check
# A folder of local wheels that pip is told about holds for uv as well.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.PHONY: setup demo test test-vision test-labelstudio test-train test-consumers check lint format wheel clean

setup: $(STAMP)

$(BIN)/uv:
	$(PYTHON) -c 'import sys; sys.exit("earshot needs Python >= 3.11, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 setup") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(STAMP): $(BIN)/uv pyproject.toml setup.py constraints.txt
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/earshot demo

test: $(STAMP)
	$(BIN)/python -m pytest -q

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# mypy and import-linter do not see through the mapped editable install: they read the built wheel.
check: lint
	rm -rf $(CHECK) && mkdir -p $(CHECK)
	$(BIN)/uv build --quiet --wheel --out-dir $(CHECK)/dist .
	$(BIN)/python -m tests.wheel_contents $(CHECK)/dist
	$(BIN)/uv venv --quiet --python $(BIN)/python $(CHECK)/venv
	VIRTUAL_ENV=$(CURDIR)/$(CHECK)/venv $(BIN)/uv pip install --quiet --constraint constraints.txt $(CHECK)/dist/*.whl --group dev
	cd $(CHECK) && venv/bin/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir mypy_cache --package earshot
	cd $(CHECK) && venv/bin/lint-imports --config $(CURDIR)/pyproject.toml --cache-dir importlinter_cache

clean:
	rm -rf build dist $(VENV) *.egg-info
