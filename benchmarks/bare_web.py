"""A bare Django site with one view that does one INSERT: what taking in costs before anything is checked.

No middleware, no check, no key; persistent connections. It stores the row that the console stored of the event `LIKE`,
with an id of its own and what was sent, in the same table.
"""

import json
import os
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse
from django.urls import path
from uuid6 import uuid7

LIKE = "like"
TABLE = "integrations_integrationevent"


def insertion(cursor: Any) -> tuple[str, dict[str, Any]]:
    """Return the statement that stores an event, and the values of the row that is there."""
    cursor.execute(f"SELECT * FROM {TABLE} WHERE event_id = %s", [LIKE])  # noqa: S608 # ours
    [row], names = cursor.fetchall(), [column.name for column in cursor.description]
    words = ", ".join(f"%({name})s" for name in names)
    return f"INSERT INTO {TABLE} ({', '.join(names)}) VALUES ({words})", dict(zip(names, row, strict=True))  # noqa: S608 # ours


def values(row: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Return the values for what was sent."""
    told = json.loads(body)
    sent = {"event_id": told["event_id"], "event_type": told["event_type"], "data": json.dumps(told["payload"])}
    return {**row, "id": uuid7(), "body": body, "subject": told["subject"], **sent}


def hand_in(request: HttpRequest) -> JsonResponse:
    """Store one event."""
    from django.db import connection

    global _made
    with connection.cursor() as cursor:
        _made = _made or insertion(cursor)
        statement, row = _made
        cursor.execute(statement, values(row, request.body))
    return JsonResponse({"status": "received"}, status=202)


_made: tuple[str, dict[str, Any]] | None = None
urlpatterns = [path("events", hand_in)]


def serve() -> WSGIHandler:
    """Return the application that gunicorn serves."""
    import environ

    database = environ.Env.db_url_config(os.environ["DATABASE_URL"]) | {"CONN_MAX_AGE": 60}
    settings.configure(
        ALLOWED_HOSTS=["*"], DATABASES={"default": database}, ROOT_URLCONF=__name__, MIDDLEWARE=[], USE_TZ=True
    )
    django.setup()
    return WSGIHandler()
