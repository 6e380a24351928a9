# `make quickstart` and `make test` need only python3, make and a package
# registry; everything else is set up in .venv from the lock file.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
LOCK := requirements/py$(VERSION).txt
STAMP := $(VENV)/installed-$(VERSION)
# Apart from the rest, and found by tests only: with libtpu in its path every
# program begins by looking for a TPU.
LIBTPU := $(VENV)/libtpu-$(VERSION)
PARITY := requirements/parity.txt
PARITY_STAMP := $(VENV)/parity-$(VERSION)
# An environment of its own: Apache Beam holds back what others need.
BEAM := $(VENV)/beam-$(VERSION)
BEAM_LOCK := requirements/beam-py$(VERSION).txt
BEAM_STAMP := $(BEAM)/installed

.PHONY: setup quickstart test test-all test-beam lint types format lock clean

setup: $(STAMP) $(PARITY_STAMP)

$(STAMP): $(LOCK) setup.py
	@echo "setting up $(VENV) with Python $(VERSION) from $(LOCK)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check -r $(LOCK)
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# Tests that need torch skip, saying so, where it could not be installed.
$(PARITY_STAMP): $(STAMP) $(PARITY)
	@if [ $(VERSION) != 3.11 ]; then \
	  echo 'no torch on Python $(VERSION): tests of parity will be skipped'; \
	elif ! $(PY) -m pip install --quiet --disable-pip-version-check \
	    -c $(LOCK) -r $(PARITY); then \
	  echo 'WARNING: no torch for CPUs was found; tests of parity with'; \
	  echo 'transformers will be SKIPPED. See $(PARITY)'; \
	fi
	@touch $@

# Google's compiler for TPUs; tests that need it skip, saying so, without.
$(LIBTPU): $(STAMP)
	@version=$$($(PY) -c \
	  'from msm_jax.compilation import libtpu; print(libtpu.wanted())'); \
	echo "fetching libtpu $$version"; \
	if ! $(PY) -m pip install --quiet --disable-pip-version-check --no-deps \
	    --upgrade --target $@ "libtpu==$$version"; then \
	  echo "WARNING: no libtpu $$version was found; tests that compile for TPUs"; \
	  echo 'will be SKIPPED'; \
	fi

# Apache Beam's local runner; its tests skip, saying so, without.
$(BEAM_STAMP): $(BEAM_LOCK) $(STAMP)
	@echo "setting up $(BEAM) with Python $(VERSION) from $(BEAM_LOCK)"
	@$(PYTHON) -m venv --clear $(BEAM)
	@if $(BEAM)/bin/python -m pip install --quiet --disable-pip-version-check \
	    -r $(BEAM_LOCK); then \
	  $(BEAM)/bin/python -m pip install --quiet --disable-pip-version-check \
	    --no-deps -e . && touch $@; \
	else \
	  echo 'WARNING: Apache Beam could not be installed; its tests will be'; \
	  echo "SKIPPED. See $(BEAM_LOCK)"; \
	fi

requirements/beam-py%.txt:
	@echo "no lock file of Apache Beam for Python $*: use 3.11, 3.12 or 3.13"
	@exit 1

requirements/py%.txt:
	@echo "no lock file for Python $*: use 3.11, 3.12 or 3.13 (PYTHON=python3.12)"
	@exit 1

quickstart: $(STAMP)
	@$(PY) -m launch.local --config=configs/quickstart.py --workdir=runs/quickstart

test: setup
	$(PY) -m pytest -n 2 -m 'not slow'

test-all: setup $(LIBTPU) test-beam
	$(PY) -m pytest -n 2

test-beam: $(BEAM_STAMP)
	@if [ -e $(BEAM_STAMP) ]; then \
	  $(BEAM)/bin/python -m pytest tests/test_data_beam.py; \
	fi

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(STAMP)
	$(PY) -m mypy

format: $(STAMP)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# Rewrites the lock files; needs `pip install uv`.
lock:
	for v in 3.11 3.12 3.13; do \
	  uv pip compile --quiet --universal --upgrade --python-version $$v \
	    --no-header --extra openai --extra gemini \
	    setup.py requirements/dev.in -o requirements/py$$v.txt; \
	  uv pip compile --quiet --universal --upgrade --python-version $$v \
	    --no-header --extra beam \
	    setup.py requirements/beam.in -o requirements/beam-py$$v.txt; \
	done

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build *.egg-info
