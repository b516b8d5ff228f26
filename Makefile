# make demo: the whole DAG offline.  make test: everything but GPU and public Hub; what needs node or
# Chromium is skipped with a reason where they are missing.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-public lint clean

demo: .venv/installed
	$(BIN)/pairpress demo

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=25 -m "not gpu and not public"

# PAIRPRESS_PUBLIC_TOKEN: a token with write access. Makes private repositories and deletes them.
test-public: .venv/installed
	$(BIN)/python -m pytest -m public

lint: .venv/installed
	$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy

clean:
	rm -rf .pairpress

.venv/installed: pyproject.toml constraints.txt
	@echo "Installing into .venv, torch and Prefect among it: minutes, once."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
