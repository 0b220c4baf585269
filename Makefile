# Every lane starts from nothing but Python >= 3.11, make and (for pdqhash) a C++ compiler; `make setup` is done when first needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CHECK := build/check
# A file's tests stay together: they share what its fixtures have built.
SPREAD := --numprocesses auto --dist loadfile
RELEASES := tests/tasks/publish_release tests/tasks/releases tests/tasks/questions tests/tasks/score_answers tests/tasks/grpo
# A folder of local wheels that pip is told about holds for uv as well.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export DO_NOT_TRACK := 1
# Where this is set every process compiles all that it imports: a second or two for each of them.
unexport PYTHONDONTWRITEBYTECODE
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.PHONY: setup demo test test-media test-llm test-releases test-flows test-labelstudio test-faults test-kills test-stack test-vision test-packages test-train test-consumers check lint format constraints clean

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
	$(BIN)/python -m pytest -q -m "not slow and not flows and not labelstudio" $(SPREAD) --ignore tests/vision --ignore tests/media --ignore tests/tasks/llm --ignore tests/examples --ignore tests/consumers $(RELEASES:%=--ignore %)

# Files, damage, servers that break off, the sample world.
test-media: $(STAMP)
	$(BIN)/python -m pytest -q -m "not slow" $(SPREAD) tests/media

# Caption analysis and captioning on a fake endpoint, over real HTTP.
test-llm: $(STAMP)
	$(BIN)/python -m pytest -q -m "not slow" $(SPREAD) tests/tasks/llm

# Questions, releases and what is made of them; `make test-labelstudio` sees their page in a browser.
test-releases: $(STAMP)
	$(BIN)/python -m pytest -q -m "not slow" $(SPREAD) $(RELEASES)

# Real Prefect servers, a worker, deployments: some minutes.
test-flows: $(STAMP)
	$(BIN)/python -m pytest -q -m "flows and not slow" $(SPREAD) tests/flows

# Kills, full disks and builds side by side: ten minutes and more.
test-faults: $(STAMP)
	$(BIN)/python -m pytest -q -m slow tests/faults tests/tasks

# A few of them, among all kinds: some minutes.
test-kills: $(STAMP)
	$(BIN)/python -m pytest -q -m kill --numprocesses 2 --dist worksteal tests/faults

# A real Label Studio, installed on first use into an environment of its own (1 GB, some minutes),
# and Debian's Chromium where it is there: apt-get install chromium. A team's PostgreSQL, minutes
# more: pytest -m labelstudio tests/annotation_ui/test_compose.py.
test-labelstudio: $(STAMP)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet 'playwright>=1.50,<2'
	$(BIN)/python -m pytest -q -m "labelstudio and not slow" tests/annotation_ui
	$(BIN)/python -m pytest -q -m "not slow" tests/tasks/releases/test_browse.py

# compose.yaml's services from the system's packages: apt-get install postgresql redis-server.
test-stack: $(STAMP)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --constraint constraints.txt --editable '.[server]'
	$(BIN)/python -m pytest -q -m stack tests/flows

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# mypy and import-linter do not see through the mapped editable install: they read the built wheel.
check: lint
	rm -rf build/lib $(CHECK) && mkdir -p $(CHECK)
	$(BIN)/uv build --quiet --wheel --out-dir $(CHECK)/dist .
	$(BIN)/python -m tests.wheel_contents $(CHECK)/dist
	$(BIN)/uv venv --quiet --python $(BIN)/python $(CHECK)/venv
	VIRTUAL_ENV=$(CURDIR)/$(CHECK)/venv $(BIN)/uv pip install --quiet --constraint constraints.txt $(CHECK)/dist/*.whl --group dev
	cd $(CHECK) && venv/bin/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir mypy_cache --package earshot
	cd $(CHECK) && venv/bin/lint-imports --config $(CURDIR)/pyproject.toml --cache-dir importlinter_cache

	$(BIN)/uv venv --quiet --python $(BIN)/python $(CHECK)/bare
	VIRTUAL_ENV=$(CURDIR)/$(CHECK)/bare $(BIN)/uv pip install --quiet numpy
	VIRTUAL_ENV=$(CURDIR)/$(CHECK)/bare $(BIN)/uv pip install --quiet --no-deps $(CHECK)/dist/*.whl
	cd $(CHECK) && bare/bin/python -W error $(CURDIR)/tests/bare_import.py

# torch goes first: left to the resolver it would be the newest CUDA build.
test-vision: $(STAMP)
	test -d .venv-vision || $(BIN)/uv venv --quiet --python $(BIN)/python .venv-vision
	VIRTUAL_ENV=$(CURDIR)/.venv-vision $(BIN)/uv pip install --quiet torch==2.13.0
	VIRTUAL_ENV=$(CURDIR)/.venv-vision $(BIN)/uv pip install --quiet --constraint constraints.txt --editable '.[vision,reader]' --group dev
	.venv-vision/bin/python -m pytest -q -m "not slow" $(SPREAD) tests/vision tests/tasks/test_tracker_contract.py tests/tasks/grpo/test_reader.py

# All packages of a user's list side by side. sam2's build wants torch there first; NumPy is left to
# the resolver, since label-studio-sdk's OpenCV has none newer than 2.2; the packages warn a lot.
test-packages: $(STAMP)
	test -d .venv-packages || $(BIN)/uv venv --quiet --python $(BIN)/python .venv-packages
	VIRTUAL_ENV=$(CURDIR)/.venv-packages $(BIN)/uv pip install --quiet torch==2.13.0 torchvision==0.28.0 'setuptools<81' wheel
	grep -vE '^numpy(-typing-compat)?==' constraints.txt > .venv-packages/constraints.txt
	VIRTUAL_ENV=$(CURDIR)/.venv-packages $(BIN)/uv pip install --quiet --constraint .venv-packages/constraints.txt --editable '.[original,inspect]' 'pytest>=9,<10' 'hypothesis>=6.130,<7'
	OMP_NUM_THREADS=1 .venv-packages/bin/python -W ignore -m pytest -q -W ignore tests/vision/test_original.py tests/vision/test_ten_packages.py tests/tasks/test_tracker_contract.py tests/annotation_ui/test_sdk_check.py

# The TRL examples on a tiny model. torch first, as above; torchvision beside it for the processors.
.venv-train/.installed: $(STAMP)
	test -d .venv-train || $(BIN)/uv venv --quiet --python $(BIN)/python .venv-train
	VIRTUAL_ENV=$(CURDIR)/.venv-train $(BIN)/uv pip install --quiet torch==2.13.0 torchvision==0.28.0
	VIRTUAL_ENV=$(CURDIR)/.venv-train $(BIN)/uv pip install --quiet --constraint constraints.txt --editable '.[train]'
	touch $@

test-train: .venv-train/.installed
	$(BIN)/python -m pytest -q tests/examples

# Trainers as they are released, an environment each: they pin one another's packages. Of earshot
# they have what a user installs there, the wheel without its dependencies. ms-swift does not name
# msgspec, verl neither orjson nor the readers of videos. Some minutes, 3 GB.
CONSUMER = torch==2.13.0 torchvision==0.28.0 'qwen-vl-utils==0.0.14' 'decord>=0.6,<0.7'
.venv-verl/.installed: TRAINER := 'verl==0.9.1' 'transformers==5.9.0' orjson
.venv-swift/.installed: TRAINER := 'ms-swift==4.6.0' msgspec
.venv-verl/.installed .venv-swift/.installed: $(STAMP)
	test -d $(@D) || $(BIN)/uv venv --quiet --python $(BIN)/python $(@D)
	VIRTUAL_ENV=$(CURDIR)/$(@D) $(BIN)/uv pip install --quiet $(CONSUMER) $(TRAINER)
	touch $@

test-consumers: .venv-train/.installed .venv-verl/.installed .venv-swift/.installed
	rm -rf build/consumers && $(BIN)/uv build --quiet --wheel --out-dir build/consumers .
	for name in verl swift; do VIRTUAL_ENV=$(CURDIR)/.venv-$$name $(BIN)/uv pip install --quiet --no-deps --reinstall build/consumers/*.whl || exit 1; done
	$(BIN)/python -m pytest -q tests/consumers

# Versions of the core and of the tests, as resolved today; run the tests before you commit it.
constraints: $(BIN)/uv
	echo '# Versions that the tests ran with; made by `make constraints`. Only names and versions.' > constraints.txt
	$(BIN)/uv pip compile --quiet --group dev --extra server --no-header --no-annotate --no-emit-index-url --no-emit-find-links --python-version 3.11 pyproject.toml >> constraints.txt

clean:
	rm -rf build dist $(VENV) *.egg-info
