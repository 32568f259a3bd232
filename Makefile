# The commands of opsconsole. Everything runs from .venv; only Python 3.11 or newer and make are needed.
PYTHON ?= python3
BIN := .venv/bin
NO_WHEELS := "The dependencies could not be installed; the reason stands above. The servers that come with them exist for Linux \
	(glibc) and macOS, on x86-64 and arm64. On other machines use docker compose: docs/deploying.md says how."

.PHONY: run test chaos fuzz hostile bench bench-quick screenshots lint format lock messages secrets

run: .venv/run.stamp
	@exec $(BIN)/python manage.py up

# On every core up to four, each with a database of its own; browser and chaos last. ARGS="-n 0 tests/jobs": some of it, in one process.
test: .venv/dev.stamp
	@SECRET_KEY=compile $(BIN)/python manage.py compile_catalogues
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --no-loadscope-reorder $(ARGS)

# Kills, crashes and outages in full: more than an hour. Prints the table of docs/measured.md.
chaos: .venv/dev.stamp
	@CHAOS=full $(BIN)/python -m pytest tests/chaos $(ARGS)

# The API against its own documentation, in full: some minutes, more than 10,000 requests.
fuzz: .venv/dev.stamp
	@FUZZ=full $(BIN)/python -m pytest tests/properties/test_api_conforms.py $(ARGS)

# Forty hostile texts in every column, and the page of each row opened in Chromium; the short form opens each kind of page once.
hostile: .venv/dev.stamp
	@HOSTILE=full $(BIN)/python -m pytest tests/browser/test_hostile_texts.py $(ARGS)

# Every hot path beside its peers and its limit, five rounds each; takes an hour or more of a quiet machine.
bench: .venv/dev.stamp
	@$(BIN)/python -m benchmarks.suite $(ARGS)

# The same in short, in under five minutes: whether all of it runs, and roughly where it stands.
bench-quick: .venv/dev.stamp
	@$(BIN)/python -m benchmarks.suite --quick $(ARGS)

# The pictures in docs/: the browser's walk through an outage, kept.
screenshots: .venv/dev.stamp
	@OPS_SCREENSHOTS=docs $(BIN)/python -m pytest -q tests/browser/test_story.py

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
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		benchmarks/peers/requirements.in -o benchmarks/peers/requirements.txt

# For docker compose: the folder keeps other users out, so the files may be read by the containers' own users. For QA a set
# of its own. A secret that exists is left as it is.
secrets:
	@for folder in secrets secrets/qa; do mkdir -p -m 700 $$folder; \
		for name in secret_key api_key_pepper database_password redis_password reader_password; do \
			test -e $$folder/$$name || (umask 333; od -An -tx1 -N48 /dev/urandom | tr -d ' \n' > $$folder/$$name); \
		done; done

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("opsconsole needs Python 3.11 or newer; this is %s. Set PYTHON=... and run again." % sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv

.venv/run.stamp: requirements.lock | .venv/bin/python
	@echo "Installing the dependencies from requirements.lock ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock || { echo $(NO_WHEELS); exit 1; }
	@touch $@

.venv/dev.stamp: requirements-dev.lock | .venv/bin/python
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock || { echo $(NO_WHEELS); exit 1; }
	@touch $@ .venv/run.stamp
