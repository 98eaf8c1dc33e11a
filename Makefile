# Each command makes the environment it needs, once, and uses it again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BOUNDS := .venv-bounds

.PHONY: help demo docs test faults wheel bounds audit check lint types sql screenshots bench clean

help: ## What can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(READY) ## Sync a made-up shop over HTTP, build the metrics and show them
	$(BIN)/doblecheck demo

docs: $(READY) ## Write the models' pages to site/index.html, their contract to docs/warehouse.md
	$(BIN)/python -m pipelines.commands.model_docs site
	$(BIN)/python -m pipelines.building.contract

# Three at a time on two cores: who waits for a browser or a server lets others work.
test: $(READY) ## Run the tests, but for the long matrices of faults and wheel
	$(BIN)/python -m pytest -q -rs -n 3 --dist worksteal

faults: $(READY) ## Break everything on purpose; write the figures of docs/reliability.md
	DOBLECHECK_WRITE_FIGURES=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'matrix or not matrix' tests/faults tests/receiver

wheel: $(READY) ## Build the wheel; run the demo from it on every Python there is
	$(BIN)/python -m pytest -q -m matrix tests/e2e/test_wheel.py

# What pip chooses where nothing is locked. The lock's own test knows one choice only.
bounds: ## Run the tests on the oldest and on the newest versions that pyproject.toml allows; needs uv
	for resolution in lowest-direct highest; do \
		uv venv -q --clear $(BOUNDS) && \
		uv pip install -q --python $(BOUNDS)/bin/python --resolution $$resolution -e . && \
		uv pip install -q --python $(BOUNDS)/bin/python --group dev && \
		PATH="$(CURDIR)/$(BOUNDS)/bin:$$PATH" $(BOUNDS)/bin/python -m pytest -q -rs -n 3 --dist worksteal \
			--deselect tests/docs/test_dependencies.py::test_the_lock_is_complete || exit 1; \
	done

audit: ## Ask for known weaknesses of the locked dependencies; needs uv
	uvx pip-audit --disable-pip --require-hashes -r requirements.txt

check: lint types sql ## Lint, formatting, import rules, types, SQL style; at once with make -j 2

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(READY)
	$(BIN)/mypy

sql: $(READY)
	$(BIN)/sqlfluff lint -q --dialect duckdb models

screenshots: $(READY) ## Take pictures of every page of the dashboard, into screenshots/
	DOBLECHECK_SCREENSHOTS=screenshots $(BIN)/python -m pytest -q -m matrix tests/dashboard/test_browser.py -k screenshots

bench: $(READY) ## Measure everything, which takes long; writes benchmarks/README.md
	$(BIN)/python -m benchmarks

clean: ## Remove what was made
	rm -rf $(VENV) $(BOUNDS) data dist site screenshots .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The lock is complete, and older pips (23.2) refuse hashes where a dependency names extras: --no-deps.
# Bytecode is compiled once, on all cores where pip would use one: a fresh import of dlt and dbt takes
# twice as long.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: doblecheck needs Python 3.11 or newer"; \
		  echo "hint: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12"; exit 2; }
	@if command -v uv >/dev/null; then \
		uv venv -q --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV) && \
		uv pip install -q --python $(BIN)/python --require-hashes -r requirements.txt && \
		uv pip install -q --python $(BIN)/python --no-deps -e .; \
	else \
		$(PYTHON) -m venv --clear $(VENV) && \
		$(BIN)/pip install -q --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements.txt && \
		$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .; \
	fi
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib pipelines flows >/dev/null 2>&1 || true
	@touch $(READY)
