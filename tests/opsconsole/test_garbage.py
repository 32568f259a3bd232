"""What programs post leaves nothing to the collector of garbage: a request ends with its answer, and its memory is used again at once."""

import gc
import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpResponse
from django.test import RequestFactory

from apps.integrations.models import Service
from apps.jobs.models import Queue
from tests.api import key_of
from tests.integrations.events import source, standard_headers

pytestmark = pytest.mark.django_db(transaction=True)  # requests close what connections they find broken
DATA = {"name": "Ana"}
WEBHOOK = json.dumps({"type": "lead.created", "timestamp": "2026-01-31T18:00:00Z", "data": DATA}).encode()


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def post(path: str, body: Any, **headers: str) -> int:
    """Post as gunicorn hands it on; return the status."""
    words = body if isinstance(body, bytes) else json.dumps(body).encode()
    environ = RequestFactory(headers=headers).post(path, words, content_type="application/json").environ
    answer: HttpResponse = WSGIHandler()(environ, Mock())  # type: ignore[assignment] # Django's own answer, which is an iterable
    answer.close()
    return answer.status_code


def requests_left() -> int:
    return sum(type(each) is WSGIRequest for each in gc.get_objects())


def test_an_event_leaves_no_circle(uncollected: None) -> None:
    source("site", scheme="key")
    event = {"source_system": "site", "event_type": "lead.created", "payload": DATA}
    assert (post("/api/events", event, **{"X-API-Key": key_of("ana", "Supervisor")}), requests_left()) == (202, 0)


def test_an_operation_leaves_no_circle(uncollected: None) -> None:
    Service.objects.create(slug="crm", name="CRM", connector="http", base_url="http://crm.example.com")
    Queue.objects.create(slug="crm")
    operation = {"service": "crm", "queue": "crm", "operation_type": "http.post", "payload": DATA}
    key = {"X-API-Key": key_of("ana", "Supervisor")}
    assert (post("/api/pending-operations", operation, **key), requests_left()) == (202, 0)


def test_a_signed_webhook_leaves_no_circle(uncollected: None) -> None:
    source("site")
    assert (post("/webhook/site", WEBHOOK, **standard_headers(WEBHOOK)), requests_left()) == (200, 0)
