# The commands of opsconsole. Everything runs from .venv; only Python 3.11 or newer and make are needed.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint format lock messages

run: .venv/run.stamp
	@exec $(BIN)/python manage.py up

test: .venv/dev.stamp
	@SECRET_KEY=compile $(BIN)/python manage.py compile_catalogues
	@$(BIN)/python -m pytest $(ARGS)

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	OPS_ENV=production ALLOWED_HOSTS=ops.example.com SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

messages: .venv/dev.stamp
	@$(BIN)/python -m tests.messages

lock: .venv/dev.stamp
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		pyproject.toml --group dev -o requirements-dev.lock

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("opsconsole needs Python 3.11 or newer; this is %s. Set PYTHON=... and run again." % sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv

.venv/run.stamp: requirements.lock | .venv/bin/python
	@echo "Installing the dependencies from requirements.lock ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.venv/dev.stamp: requirements-dev.lock | .venv/bin/python
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ .venv/run.stamp
