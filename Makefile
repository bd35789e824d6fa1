# make app    install what is missing, start the app and print its address
# make test   install what is missing, run every check and test
# make check  lint and types only
# make lock   write requirements.lock anew: every package with the hashes of its files
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501

.PHONY: app test check format lock slow bench clean

app: $(VENV)/app.stamp
	$(BIN)/python -m streamlit run app.py --server.port $(PORT)

# A browser wants a core of its own, so those tests come one at a time after the rest.
test: check
	$(BIN)/python -m pytest -m "not browser" -n auto --dist loadfile
	$(BIN)/python -m pytest -m browser

# The lock is for a server: Linux on x86-64 with Python 3.11; pip then takes nothing but these very files.
lock: $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip compile --quiet --no-config --generate-hashes --no-header --no-annotate \
	  --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	  --output-file requirements.lock requirements.txt $(wildcard requirements-class.txt)

slow: $(VENV)/dev.stamp
	$(BIN)/python -m pytest --slow

check: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Representation Lab needs Python 3.11 or newer; try: make app PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/app.stamp: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements.txt requirements-class.txt requirements-dev.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/app.stamp

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache out
