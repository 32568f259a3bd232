"""The pytest plugin that gives the suite throw-away servers before Django's settings are read."""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from opsconsole import embedded


@pytest.hookimpl(wrapper=True)  # pytest-django, too, wants to be first; a wrapper goes before both
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    if "DATABASE_URL" not in os.environ or "REDIS_URL" not in os.environ:
        stack = ExitStack()
        early_config.add_cleanup(stack.close)
        _use(stack.enter_context(embedded.throw_away()))
    elif worker := os.environ.get("PYTEST_XDIST_WORKER"):
        # Workers share the servers: a database of PostgreSQL each by pytest-django, one of Valkey and a folder here.
        os.environ["REDIS_URL"] = os.environ["REDIS_URL"].replace("?db=0", f"?db={int(worker.removeprefix('gw')) + 1}")
        if data := os.environ.get("OPS_DATA_DIR"):
            os.environ["OPS_DATA_DIR"] = str(_folder(Path(data, worker)))
    yield


def _use(servers: embedded.Servers) -> None:
    data = _folder(servers.folder / "data")
    for name, value in {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "OPS_DATA_DIR": str(data),
        "OPS_STATICFILES_STORAGE": "django.contrib.staticfiles.storage.StaticFilesStorage",
        "SECRET_KEY": secrets.token_urlsafe(64),
        "OPS_LOG_KEPT": "",  # a thread of its own would commit lines beside a test's transaction
    }.items():
        os.environ.setdefault(name, value)


def _folder(data: Path) -> Path:
    (data / "static").mkdir(parents=True, exist_ok=True)
    return data
