"""Texts that would run where a page took them for markup, and how they come into every column that somebody outside may fill."""

import json
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import models
from django.test import Client

from apps.actions.models import SavedView
from apps.actions.running import run
from apps.integrations.models import EventSource
from apps.operations.models import PendingOperation
from tests.api import key_of
from tests.cast import ROOT, Company, ticked
from tests.integrations import events

FORMS = [
    "<script data-pwned>alert('{}')</script>",
    "<ScRiPt data-pwned src=//evil.example.com/{}.js></sCrIpT>",
    "</script><script data-pwned>alert('{}')</script>",
    "</textarea><script data-pwned>alert('{}')</script>",
    "</title><script data-pwned>alert('{}')</script>",
    "</pre><img data-pwned src=x onerror=alert('{}')>",
    "--><img data-pwned src=x onerror=alert('{}')><!--",
    "]]><img data-pwned src=x onerror=alert('{}')>",
    "<img data-pwned src=x onerror=alert('{}')>",
    "<img data-pwned src='x' onerror='alert(\"{}\")'",
    "<svg data-pwned onload=alert('{}')>",
    "<svg><script data-pwned>alert('{}')</script></svg>",
    "<svg><animate data-pwned onbegin=alert('{}') attributeName=x dur=1s>",
    "<math><mtext data-pwned><style><img src onerror=alert('{}')></style></mtext></math>",
    "<body data-pwned onload=alert('{}')>",
    "<iframe data-pwned src=\"javascript:alert('{}')\"></iframe>",
    "<iframe data-pwned srcdoc=\"<script>alert('{}')</script>\"></iframe>",
    "<object data-pwned data=\"javascript:alert('{}')\"></object>",
    "<embed data-pwned src=\"data:text/html,<script>alert('{}')</script>\">",
    "<a data-pwned href=\"javascript:alert('{}')\">look</a>",
    "<form data-pwned action=\"javascript:alert('{}')\"><button>go</button></form>",
    "<button data-pwned formaction=\"javascript:alert('{}')\" autofocus>go</button>",
    "<input data-pwned autofocus onfocus=alert('{}')>",
    "<details data-pwned open ontoggle=alert('{}')>",
    "<video data-pwned><source onerror=alert('{}')></video>",
    "<link data-pwned rel=stylesheet href=//evil.example.com/{}.css>",
    "<style data-pwned>@import '//evil.example.com/{}.css';</style>",
    "<meta data-pwned http-equiv=refresh content=\"0;url=javascript:alert('{}')\">",
    "<base data-pwned href=//evil.example.com/{}/>",
    "<div data-pwned hx-get=/admin/ hx-trigger=load hx-on::load=\"alert('{}')\">",
    "\" autofocus onfocus=alert('{}') data-pwned x=\"",
    "' onmouseover=alert('{}') data-pwned x='",
    "\"><img data-pwned src=x onerror=alert('{}')>",
    "` onload=alert('{}') data-pwned x=`",
    "javascript:alert('{}')//",
    "java\tscript:alert('{}')",
    "&lt;img data-pwned src=x onerror=alert('{}')&gt;&#60;script&#62;",
    "\\u003cimg data-pwned src=x onerror=alert('{}')\\u003e",
    "{{{{ constructor.constructor(\"alert('{}')\")() }}}}{{% debug %}}${{alert(1)}}",
    "\u202e\u2028\uff1cscript data-pwned\uff1ealert('{}')\uff1c/script\uff1e",
]
MARKS = [f"pwned{number:02}" for number in range(len(FORMS))]
TEXTS = [form.format(mark) for form, mark in zip(FORMS, MARKS, strict=True)]
"""Each bears a mark of its own, by which it is found again as text."""
RAN = (
    "[data-pwned], iframe, object, embed, base, meta[http-equiv=refresh], [srcdoc], [onerror], [onload], [onfocus],"
    " [href^='javascript:' i], [href^='data:' i], [src^='javascript:' i], [action^='javascript:' i], [formaction^='javascript:' i]"
)
"""What stands in a page where one of them was taken for markup."""
KEPT = {
    *("slug", "kind", "source_kind", "verb", "connector", "base_url", "fingerprint", "operation_type", "event_type"),
    *("handler", "cron", "digest", "prefix", "traceparent", "trace_id", "scheme", "username", "password", "table"),
    *("codename", "model", "app_label", "from_status", "to_status", "idempotency_key", "over"),
}
"""Columns that no text from outside reaches: they take names of ours, or are checked by a form."""
FREE = {"payload", "result", "data", "error_fields"}
"""Columns of JSON that take any."""


def come_in(company: Company) -> None:
    """Let each text come in where such texts do: at the doors, in what far ends answer, in what people write."""
    site = events.source("hostile", "hmac", events.PLAIN_SECRET)
    for number, text in enumerate(TEXTS):
        _knock(site, number, text)
        company.failed(1, error_type=text[:100], last_error=text)
    _tell_cloud_events()
    wordy = company.failed(2, last_error=" ".join(TEXTS))
    run(PendingOperation.resolve, ticked(wordy[0]), ROOT, given={"note": " ".join(TEXTS[:20])})
    run(PendingOperation.archive, ticked(wordy[1]), ROOT, given={"reason": " ".join(TEXTS[20:35])})


def _knock(source: EventSource, number: int, text: str) -> None:
    body = json.dumps({text: text, "who": f"{text}@example.com", "deep": [{"name": text}]}).encode()
    headers = {
        **events.hmac_headers(body),
        "X-Event-ID": str(number),
        "X-Request-Id": text.encode("ascii", "ignore").decode(),
    }
    assert events.knock(source.slug, body, headers).status_code < 300


def _tell_cloud_events() -> None:
    told = [
        {
            "specversion": "1.0",
            "id": text,
            "source": "site",
            "type": "lead.created",
            "subject": text,
            "data": {text: text},
        }
        for text in TEXTS
    ]
    key = key_of("hostile", "Operator")
    answer = Client().post(
        "/api/events", json.dumps(told), "application/cloudevents-batch+json", headers={"X-API-Key": key}
    )
    assert answer.status_code < 300, answer.content


def fill(admin: User) -> None:
    """Write the texts into every other column of every row that takes free text."""
    SavedView.objects.create(kind="operations.pendingoperation", owner=admin, name="x", words={"q": TEXTS[0]})
    ours: list[type[models.Model]] = [User, Group]
    ours += [model for model in apps.get_models() if model.__module__.startswith("apps.")]
    for model in ours:
        _fill(model)


def _fill(model: type[models.Model]) -> None:
    columns = {field.attname: field for field in model._meta.concrete_fields if _takes_text(field)}
    for number, row in enumerate(model._default_manager.order_by("pk")[: len(TEXTS)] if columns else []):
        told = {name: _told(field, number) for name, field in columns.items()}
        model._default_manager.filter(pk=row.pk).update(**told)


def _takes_text(field: Any) -> bool:
    if isinstance(field, models.JSONField):
        return field.name in FREE
    closed = field.choices or field.unique or isinstance(field, models.SlugField) or field.name in KEPT
    return (
        isinstance(field, models.CharField | models.TextField) and not closed and _room(field) >= min(map(len, TEXTS))
    )


def _room(field: Any) -> int:
    return field.max_length or 100_000


def _told(field: Any, number: int) -> Any:
    """Return as many texts as the column takes, beginning with another one in each row."""
    texts = [*TEXTS[number % len(TEXTS) :], *TEXTS[: number % len(TEXTS)]]
    if isinstance(field, models.JSONField):
        return dict(zip(texts, texts, strict=True))
    room = _room(field)
    return "".join(_fitting([text for text in texts if len(text) <= room], room))


def _fitting(texts: list[str], room: int) -> Iterator[str]:
    for text in texts:
        if len(text) > room:
            return
        room -= len(text)
        yield text
