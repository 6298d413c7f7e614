# make setup   create .venv with the versions in constraints.txt
# make demo    create .venv-light, as users install VEPE (no torch), and track a bundled clip:
#              demo/store_aisle.mp4 and .json
# make lint    setup, then ruff and mypy
# make test    lint, then the tests of the light installation in .venv-light, then all tests
# make docs    setup, then the documentation site in site/ (open site/index.html);
#              make docs VERSION=0.1.0 adds it to the versions in build/site/ (SITE=DIR: elsewhere)
# make serve-check  setup, then vepe serve in a fresh environment, and an upload in Chromium
# make docs-full  setup, then every block of the pages, also those that need minutes, a GPU or the network
# make faults  setup, then a campaign of faults against every command (about ten minutes);
#              options: make faults FAULTS='--seed 7 --only media --cases 200'
# make clean   remove everything that these create, including .venv
#
# Requires make, Python 3.11, 3.12 or 3.13, and access to a package index. To choose a Python:
# make PYTHON=python3.12

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LIGHT := .venv-light
LIGHT_STAMP := $(LIGHT)/.installed
CLIP := assets/store_aisle.mp4

IN_RANGE := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(IN_RANGE)' 2>/dev/null && echo $$p && break; done)

.PHONY: demo test docs docs-full serve-check faults setup lint clean

demo: $(LIGHT_STAMP)
	$(LIGHT)/bin/vepe track $(CLIP) --output demo --overwrite
	@echo "The video with skeletons and ids: $(CURDIR)/demo/store_aisle.mp4"
	@echo "The poses with track ids:         $(CURDIR)/demo/store_aisle.json"

test: lint $(LIGHT_STAMP)
	$(LIGHT)/bin/python -m pytest -q tests/light
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --cov --cov-report=term:skip-covered

docs: $(STAMP)
	$(BIN)/python -m docs.generator $(if $(VERSION),--version '$(VERSION)') $(if $(SITE),--into '$(SITE)')

docs-full: $(STAMP)
	VEPE_DOCS_FULL=1 $(BIN)/python -m pytest -q tests/examples/test_docs_blocks.py

serve-check: $(STAMP)
	$(BIN)/python benchmarks/serve_fresh.py

faults: $(STAMP)
	$(BIN)/python benchmarks/faults $(FAULTS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(STAMP)

# The stamp is written last, so that an interrupted setup runs again.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "VEPE needs Python 3.11, 3.12 or 3.13; none was found. Install one, or choose one: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c '$(IN_RANGE)' || { echo "VEPE needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is a different version. Choose one: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is incomplete. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing into $(VENV): the first time this downloads some gigabytes, mostly torch."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $(STAMP)

# What users install: no torch.
$(LIGHT_STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "VEPE needs Python 3.11, 3.12 or 3.13; none was found. Install one, or choose one: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c '$(IN_RANGE)' || { echo "VEPE needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is a different version. Choose one: make PYTHON=python3.12"; exit 1; }
	@test -x $(LIGHT)/bin/python || $(PYTHON) -m venv $(LIGHT) || { rm -rf $(LIGHT); echo "Python's venv module is incomplete. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing into $(LIGHT)"
	$(LIGHT)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt hatchling editables pytest pytest-timeout
	$(LIGHT)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --editable .
	@touch $(LIGHT_STAMP)

clean:
	rm -rf $(VENV) $(LIGHT) demo dist build site htmlcov .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
