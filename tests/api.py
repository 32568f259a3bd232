"""The cast on the API: the same three, each with a key."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from apps.integrations import keys


class Api(Client):
    """A system that shows a key and speaks JSON."""

    def __init__(self, key: str = "", **defaults: Any) -> None:
        super().__init__(headers={"X-API-Key": key} if key else {}, **defaults)
        self.key = key

    def send(self, path: str, body: Any = None, **headers: str) -> Any:
        """Post a body as JSON, or none."""
        if body is None:
            return self.generic("POST", path, headers=headers)
        return self.post(path, body, content_type="application/json", headers=headers)

    def post_raw(self, path: str, body: bytes, content_type: str = "application/json") -> Any:
        """Post bytes as they are."""
        return self.generic("POST", path, body, content_type=content_type)


@pytest.fixture
def ana_api(db: None) -> Api:
    return Api(key_of("ana", "Supervisor"))


@pytest.fixture
def bia_api(db: None) -> Api:
    return Api(key_of("bia", "Viewer"))


@pytest.fixture
def caio_api(db: None) -> Api:
    return Api(key_of("caio", "Nobody"))


def key_of(name: str, group: str) -> str:
    """Make a key and return its text."""
    _key, plain = keys.make(name, Group.objects.get_or_create(name=group)[0])
    return plain


def problem(response: Any, status: int) -> dict[str, Any]:
    """Return the problem body of a refusal, once it is one and has this status."""
    found: dict[str, Any] = response.json()
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json"), found
    return found
