"""Any receiver of JSON over HTTP: the payload is posted as it is, under our idempotency key."""

from collections.abc import Mapping
from typing import Any, Literal

import requests
from django.utils.translation import gettext_lazy as _
from pydantic import BaseModel, ConfigDict

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors.answers import by_status, json_of, sentence
from apps.integrations.connectors.shape import Connector, Doubles, Operation, Order, Site, Steps
from apps.integrations.outcome import Outcome


class Options(BaseModel):
    """How this receiver is spoken to. `honours_key`: it answers a repeated `Idempotency-Key` without a second effect."""

    model_config = ConfigDict(extra="forbid")

    path: str = ""
    honours_key: bool = False
    probe_path: str = ""
    probe_method: Literal["GET", "HEAD"] = "GET"


class Payload(BaseModel):
    """Anything the receiver takes."""

    model_config = ConfigDict(extra="allow")


def doubles(options: Mapping[str, Any]) -> Doubles:
    """Return what this receiver offers against doubles: its key where it honours one, else nothing."""
    return Doubles.NATIVE_KEY if options.get("honours_key") else Doubles.NONE


def classify(response: requests.Response, repeatable: bool) -> Outcome:
    """Read one answer by its status; its words stand where such services put them."""
    if response.status_code == 409 and repeatable:
        # Under one key this says that the first call is still at work; a later repeat is given its answer.
        return Outcome(FailureClass.TRANSIENT, sentence(response))
    return by_status(response, repeatable, "" if response.ok else _said(response))


def post(order: Order) -> Steps:
    """Post the payload."""
    url = order.site.at(order.site.options.get("path", ""))
    headers = _headers(order.site) | {"Idempotency-Key": order.key}
    response = yield requests.Request("POST", url, headers=headers, json=order.payload)
    outcome = classify(response, doubles(order.site.options).repeatable)
    return _taken(response) if outcome.succeeded else outcome


def probe(site: Site) -> Steps:
    """Make the configured harmless call."""
    options = Options(**site.options)
    response = yield requests.Request(options.probe_method, site.at(options.probe_path), headers=_headers(site))
    return classify(response, True)


def _said(response: requests.Response) -> str:
    body = json_of(response)
    words = [body.get(name) for name in ("detail", "message", "error", "title")] if isinstance(body, dict) else []
    return next((word for word in words if isinstance(word, str) and word), "")


def _headers(site: Site) -> dict[str, str]:
    token = site.credentials.get("token")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _taken(response: requests.Response) -> Outcome:
    body = json_of(response)
    result = body if isinstance(body, dict) else None
    return Outcome(remote_id=str((result or {}).get("id", "")), result=result)


HTTP = Connector(
    label=_("HTTP"),
    operations={
        "http.post": Operation(
            label=_("Post"),
            help=_("Posts the payload as JSON to the service's address, with our idempotency key."),
            entity="request",
            schema=Payload,
            doubles=doubles,
            perform=post,
        ),
    },
    classify=classify,
    probe=probe,
    credentials={"token": _("Bearer token")},
    optional=frozenset({"token"}),
    options=Options,
)
