"""Events for tests, moved to where they stand the way workers move them; and requests that are signed as senders sign."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from django.conf import settings
from django.test import Client

from apps.actions import leases
from apps.actions.models import new_id
from apps.integrations.models import EventSource, IntegrationEvent

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
NEXT_SECRET = "whsec_" + base64.b64encode(b"fedcba9876543210fedcba9876543210").decode()
PLAIN_SECRET = "a secret of thirty-two characters"


def keep_secret(name: str, value: str) -> str:
    """Put a secret where the console reads it, under a name of its own; return that."""
    name = f"{name}_{new_id().hex.upper()}"
    path = settings.DATA_DIR / "credentials" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value)
    return name


def source(slug: str = "site", scheme: str = "standard", secret: str = SECRET, **columns: Any) -> EventSource:
    """A source whose secret is set."""
    credentials = {"current": keep_secret(f"TEST_{slug.upper()}_SECRET", secret)}
    return EventSource.objects.create(
        **{"slug": slug, "name": slug, "scheme": scheme, "credentials": credentials, **columns}
    )


def event_of(source: EventSource, state: str = "received", **columns: Any) -> IntegrationEvent:
    """An event in a state; its subject is that state's name unless another is given."""
    told = {"event_id": str(new_id()), "event_type": "lead.created", "subject": state, "body": b"{}", "proof": "signed"}
    event = IntegrationEvent.objects.create(source=source, **{**told, "data": {}, **columns})
    if state != "received":
        row = IntegrationEvent.objects.filter(pk=event.pk).order_by("pk")
        [held] = leases.take(IntegrationEvent.claim, row, 1)
        if state == "processed":
            leases.finish(IntegrationEvent.finish, {event.pk: {"outcome": "nothing"}}, held.token or 0)
        elif state != "processing":
            why = {"failure_class": "permanent_data", "error_type": "mapping", "last_error": "name: is required"}
            leases.finish(IntegrationEvent.fail, {event.pk: {**why, "error_fields": {}}}, held.token or 0)
    event.refresh_from_db()
    return event


def standard_headers(body: bytes, key: str = "msg_1", at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    """Sign as Standard Webhooks has it."""
    moment = str(int(time.time() if at is None else at))
    signed = f"{key}.{moment}.".encode() + body
    raw = base64.b64decode(secret.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": key, "webhook-timestamp": moment, "webhook-signature": f"v1,{signature}"}


def chatwoot_headers(body: bytes, at: float | None = None, secret: str = PLAIN_SECRET) -> dict[str, str]:
    """Sign as Chatwoot does."""
    moment = str(int(time.time() if at is None else at))
    signature = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "X-Chatwoot-Timestamp": moment,
        "X-Chatwoot-Signature": f"sha256={signature}",
        "X-Chatwoot-Delivery": "delivery-1",
    }


def hmac_headers(body: bytes, secret: str = PLAIN_SECRET) -> dict[str, str]:
    """Sign as runbook 1's deliveries do."""
    return {
        "X-Webhook-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "X-Event-ID": "e-1",
        "X-Event-Type": "lead.created",
    }


def knock(path: str, body: bytes, headers: dict[str, str], content_type: str = "application/json") -> Any:
    """Post bytes at a door."""
    return Client().generic("POST", f"/webhook/{path}", body, content_type=content_type, headers=headers)


def told(**fields: Any) -> bytes:
    """A body of Standard Webhooks."""
    return json.dumps({"type": "lead.created", "data": {"name": "Ana"}, **fields}).encode()
