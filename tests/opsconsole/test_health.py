from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client

from tests.api import Api
from tests.cast import Company


def test_live_touches_nothing(client: Client) -> None:
    assert client.get("/health/live").json() == {"status": "ok"}


def test_health_says_what_answers(client: Client) -> None:
    found = client.get("/health").json()
    assert (found["status"], found["service"]) == ("ok", "opsconsole")
    assert set(found) == {"status", "timestamp", "service", "version"}


@pytest.mark.django_db(transaction=True)
def test_a_key_is_told_how_the_work_goes(bia_api: Api, company: Company) -> None:
    assert bia_api.get("/health").json()["pipelines"] == {"operations": "ok", "syncs": "ok"}


@pytest.mark.django_db(transaction=True)
def test_a_wrong_key_is_told_no_more_than_none(client: Client) -> None:
    assert "pipelines" not in client.get("/health", headers={"X-API-Key": "ops_x"}).json()


@pytest.mark.django_db(transaction=True)
def test_ready_names_what_it_looked_at(client: Client) -> None:
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "checks": {"database": "up", "redis": "up"}}


@pytest.mark.django_db(transaction=True)
def test_without_redis_it_is_ready_and_says_so(client: Client, settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["checks"]["redis"]) == (200, "down")


@pytest.mark.django_db(transaction=True)
def test_without_the_database_it_is_not_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = connection.settings_dict
    monkeypatch.setitem(settings, "HOST", "/nowhere")
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_health_is_only_looked_at(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405
