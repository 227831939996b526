# `make demo` and `make test` set everything up in .venv; nothing else is needed but Python and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test lint schemas docs compat clean

$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[video]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) --editable '.[video,dev]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/python -m florence_blocks.demo

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: lint
	$(BIN)/pytest -n 2

schemas: $(VENV)/installed
	$(BIN)/workflow schema --out schemas

docs: $(VENV)/installed-dev
	$(BIN)/workflow blocks --markdown > docs/blocks.md
	$(BIN)/sphinx-build -q -W --keep-going docs build/docs

# The same definitions here and in the best-known runtime of the language, in an environment of its own, and our blocks inside it and others.
COMPAT ?= .compat
$(COMPAT)/installed: pyproject.toml
	test -x $(COMPAT)/bin/python || $(PYTHON) -m venv $(COMPAT)
	$(COMPAT)/bin/pip --disable-pip-version-check install --quiet 'roboflow-workflows==0.2.13' haystack-ai pytest --editable .
	touch $@

compat: $(VENV)/installed-dev $(COMPAT)/installed
	$(BIN)/python -m tests.compat.compare --python $(COMPAT)/bin/python
	$(COMPAT)/bin/python -m pytest tests/adapters

clean:
	rm -rf $(VENV) $(COMPAT) demo-output build dist *.egg-info
