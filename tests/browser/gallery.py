"""The console's screens on made-up rows: a URLconf for the browser tests, and the shape each template's context has."""

import math
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import include, path
from django.utils import timezone

from opsconsole.templatetags.console import ago

HOSTILE = "<script>alert(1)</script> \"'><img src=x onerror=alert(2)>"


def before(**span: float) -> datetime:
    """Return a moment that lies this long ago."""
    return datetime.now(UTC) - timedelta(**span)


def wave(top: float, shift: float = 0) -> list[int]:
    """Return a day of plausible numbers, one for each quarter of an hour."""
    tides = (
        0.5 + 0.4 * math.sin(at / 14 + shift) + 0.08 * math.sin(at / 2.2) + 0.05 * math.sin(at * 1.7)
        for at in range(96)
    )
    return [round(top * max(tide, 0)) for tide in tides]


def button(label: str, *, danger: bool = False) -> dict[str, Any]:
    """Return a verb as the home page takes it."""
    return {"label": label, "url": "/gallery/preview/", "danger": danger, "fields": [("status", "failed")]}


def failure(id: str, count: int, cause: str, advice: str, sample: str, *labels: str, **since: float) -> dict[str, Any]:
    """Return a group of failures as the home page takes it."""
    return {
        "id": id,
        "count": count,
        "cause": cause,
        "service": "Piperun",
        "since": before(**since),
        "sample": sample,
        "advice": advice,
        "url": "/admin/auth/user/",
        "verbs": [button(label) for label in labels],
    }


def tiles() -> list[dict[str, Any]]:
    """Return the six numbers of the home page."""
    return [
        {"label": "Pending", "value": 34, "threshold": "alert above 50", "day": wave(60), "url": "/admin/auth/user/"},
        {"label": "Processing", "value": 6, "day": wave(12, 1), "url": "/admin/auth/user/"},
        {"label": "Completed today", "value": 12480, "day": wave(180, 2), "url": "/admin/auth/user/"},
        {
            "label": "Failed",
            "value": 43,
            "threshold": "alert above 10",
            "breached": True,
            "day": wave(9, 4),
            "url": "/",
        },
        {"label": "Dead letters", "value": 43, "day": wave(9, 4), "url": "/admin/auth/user/"},
        {"label": "Oldest pending", "value": None, "words": "12 min", "day": wave(14, 3)},
    ]


def chart() -> dict[str, Any]:
    """Return the day as the larger figure takes it."""
    times = [before(minutes=15 * (95 - at)) for at in range(96)]
    completed, failed = wave(180, 2), wave(14, 4)
    return {
        "id": "day",
        "data_id": "day-data",
        "title": "The last 24 hours",
        "series": [{"label": "completed", "state": "completed"}, {"label": "failed", "state": "failed"}],
        "rows": [{"at": at, "values": [good, bad]} for at, good, bad in zip(times, completed, failed, strict=True)],
        "data": {
            "times": [round(at.timestamp()) for at in times],
            "values": [completed, failed],
            "labels": ["completed", "failed"],
            "zone": timezone.get_current_timezone_name(),
        },
    }


def services() -> list[dict[str, Any]]:
    """Return the services of the home page."""
    shared = {"url": "/admin/auth/user/", "status": "active", "word": "active", "opens_again_at": None}
    return [
        {
            **shared,
            "name": "Piperun",
            "breaker": "open",
            "breaker_word": "open",
            "opens_again_at": datetime.now(UTC) + timedelta(seconds=14),
            "waiting": 31,
            "probed_at": before(minutes=2),
            "probe_good": False,
            "probe_words": "401 token refused",
            "verbs": [button("Probe")],
        },
        {
            **shared,
            "name": "ERP bridge",
            "breaker": "half_open",
            "breaker_word": "half open",
            "waiting": 3,
            "probed_at": before(seconds=40),
            "probe_good": True,
            "probe_words": "answers in 120 ms",
            "verbs": [button("Probe")],
        },
        {
            **shared,
            "name": "Notifications",
            "status": "paused",
            "word": "paused",
            "breaker": "closed",
            "breaker_word": "closed",
            "waiting": 0,
            "probed_at": None,
            "probe_good": None,
            "probe_words": "",
            "verbs": [button("Resume")],
        },
    ]


def home() -> dict[str, Any]:
    """Return the home page on a bad morning."""
    return {
        "headline": {
            "state": "failed",
            "words": "2 things need you: Piperun refuses the token, and 38 deals lack a stage.",
            "since": before(hours=2, minutes=11),
        },
        "banners": [
            {
                "state": "failed",
                "words": "1 operation killed its worker four times and was set aside as poison.",
                "url": "/admin/auth/user/",
                "link": "Look at it",
            },
            {"state": "warning", "words": "Redis is down: work is kept and starts when it is back."},
        ],
        "numbers": tiles(),
        "chart": chart(),
        "failures": [
            failure(
                "no-stage",
                38,
                "422, missing stage_id",
                "A retry will fail again until the mapping is mended.",
                '{"message": "The stage_id field is required."}',
                "Retry 38",
                "Mend the mapping",
                hours=2,
            ),
            failure(
                "token",
                3,
                "401, the token is refused",
                "Rotate the token first: manage.py set_credential piperun",
                "Unauthenticated.",
                "Probe Piperun",
                hours=2,
                minutes=11,
            ),
            failure(
                "unknown",
                1,
                "No answer, outcome unknown",
                "It may have arrived: look before it is sent again.",
                "Connection reset after 4,812 bytes",
                "Check at the far end",
                minutes=38,
            ),
            failure("poison", 1, "Killed its worker 4 times", "", HOSTILE, "Look", minutes=9),
        ],
        "services": services(),
        "paused": [
            {
                "what": "Queue erp",
                "url": "/admin/auth/user/",
                "who": "Ana Souza",
                "since": before(hours=19),
                "until": datetime.now(UTC) + timedelta(hours=3),
                "reason": "year-end closing, finance asked for it",
                "verbs": [button("Resume")],
            }
        ],
        "guide": {
            "number": 2,
            "of": 6,
            "title": "Break the CRM",
            "words": "The simulated Piperun stops answering. Watch the breaker open and the queue grow; nothing is lost.",
            "url": "/gallery/home/",
            "button": "Break the CRM",
            "dismiss_url": "/gallery/home/",
        },
        "asked_at": datetime.now(UTC),
    }


def calm_home() -> dict[str, Any]:
    """Return the home page while nothing is wrong."""
    quiet = [{**tile, "breached": False} for tile in tiles()]
    headline = {"state": "completed", "words": "Nothing is wrong.", "since": None}
    return home() | {"headline": headline, "banners": [], "numbers": quiet, "failures": [], "paused": [], "guide": None}


class Asked(forms.Form):
    """What a paced verb asks for."""

    note = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}), help_text="Kept in the history.")
    pace = forms.ChoiceField(
        widget=forms.RadioSelect,
        initial="canary",
        choices=[
            ("all", "All at once"),
            ("canary", "1, then 10, then the rest; stops when more than a fifth fail again"),
            ("rate", "So many per second"),
        ],
    )
    rate = forms.IntegerField(required=False, min_value=1, label="Per second")


def preview_context() -> dict[str, Any]:
    """Return a preview of a bulk retry."""
    return {
        "verb": SimpleNamespace(label="Retry", help="Send it again now. Earlier attempts still count.", danger=False),
        "noun": User._meta,
        "selection_words": "failed operations of Piperun",
        "preview": {
            "total": 43,
            "moving": 40,
            "refused_count": 3,
            "refused": [
                ("outcome unknown: check the far end first", 2),
                ("completed; retry needs failed or pending", 1),
            ],
            "sample": [f"deal.create 3f2a{at:02x}… failed 2 h ago" for at in range(5)] + [HOSTILE],
            "effects": [
                "40 calls will be made to Piperun, at most 10 a second.",
                "40 dead letters follow to retrying.",
            ],
        },
        "form": Asked(),
        "hidden": [("selection", "42")],
        "back_url": "/admin/auth/user/",
    }


def run_context(status: str = "watching") -> dict[str, Any]:
    """Return a canaried run, on its way or over."""
    run = SimpleNamespace(
        status=status,
        get_status_display=status,
        get_door_display="the console",
        actor_name="Ana Souza",
        selection_words="failed operations of Piperun",
        total=43,
        moved=40,
        refused=3,
        confirmed=31,
        failed_again=2,
        still_open=7,
        slipped=0,
        paced=True,
        stop_reason="",
        created_at=before(minutes=4),
        started_at=before(minutes=4),
        finished_at=None,
    )
    stages = [("First one", 1, "finished"), ("Then ten", 10, "finished"), ("The rest", 29, "watching")]
    outcomes = [("confirmed", "confirmed"), ("failed_again", "failed again"), ("", "")]
    return {
        "run": run,
        "watched": True,
        "live": status == "watching",
        "verb": SimpleNamespace(label="Retry"),
        "noun": User._meta,
        "refused": [("outcome unknown: check the far end first", 2), ("completed; retry needs failed or pending", 1)],
        "stages": [{"label": label, "size": size, "status": word, "word": word} for label, size, word in stages],
        "facts": [("Note", "token rotated"), ("Pace", "1, then 10, then the rest")],
        "controls": [{"name": name, "label": name.title(), "url": "/gallery/run/"} for name in ("pause", "cancel")],
        "items": [
            {
                "row": f"deal.create 3f2a{at:02x}",
                "url": "/admin/auth/user/",
                "moved": "failed → pending",
                "outcome": outcomes[at % 3][0],
                "outcome_word": outcomes[at % 3][1],
                "created_at": before(minutes=3, seconds=at),
            }
            for at in range(9)
        ],
        "page": {"newer": None, "older": "?after=9", "total": 1_000_000, "estimated": True},
    }


def entries() -> list[dict[str, Any]]:
    """Return the life of a failed operation."""
    answer = [("Sent", '{"title": "Apartment 12"}'), ("Answered", '{"message": "The stage_id field is required."}')]
    failed = {"kind": "attempt", "state": "failed", "word": "failed", "excerpts": answer}
    return [
        {
            "at": before(minutes=4),
            "kind": "action",
            "label": "Retry",
            "who": "Ana Souza",
            "detail": "token rotated",
            "url": "/gallery/run/",
            "link": "31 of 40 confirmed",
        },
        {**failed, "at": before(minutes=14), "label": "Attempt 3", "seconds": 0.31, "detail": "422, missing stage_id"},
        {**failed, "at": before(hours=2), "label": "Attempt 2", "seconds": 4.2, "detail": HOSTILE},
        {
            "at": before(hours=3),
            "kind": "step",
            "label": "Claim",
            "who": "worker-2",
            "state": "processing",
            "word": "processing",
        },
        {
            "at": before(days=1),
            "kind": "step",
            "label": "Taken in",
            "who": "key crm-site",
            "state": "pending",
            "word": "pending",
        },
    ]


def detail_context() -> dict[str, Any]:
    """Return what a detail page takes beyond the stock context."""
    refusal = "completed; reset needs failed"
    verbs = [
        {"name": "retry", "label": "Retry", "help": "Send it again now.", "url": "/gallery/preview/"},
        {"name": "resolve", "label": "Resolve", "help": "A person says it is settled.", "url": "/gallery/preview/"},
        {"name": "archive", "label": "Archive", "danger": True, "help": "Out of counts.", "url": "/gallery/preview/"},
        {"name": "reset", "label": "Reset", "refusal": refusal, "url": "/gallery/preview/"},
    ]
    payload = {
        "title": "Apartment 12",
        "value": 1250.5,
        "person": {"email": "joao@example.com", "phone": "+55 11 91234-9999"},
    }
    return {
        "status": "failed",
        "status_word": "failed",
        "lead": "422, missing stage_id: the far end refused it 3 times, last 14 min ago.",
        "verbs": verbs,
        "payload": payload | {"api_token": "abc123"},
        "entries": entries(),
    }


def tabs() -> list[dict[str, Any]]:
    """Return a list's states with their counts."""
    counts = [
        ("", "All", 1_000_000),
        ("pending", "pending", 34),
        ("processing", "processing", 6),
        ("failed", "failed", 43),
    ]
    counts += [("completed", "completed", 999_917)]
    return [{"state": s, "label": w, "count": n, "url": "?", "current": s == "failed"} for s, w, n in counts]


def show(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """Render a template inside the admin's own context."""
    return render(request, template, admin.site.each_context(request) | context)


def show_home(request: HttpRequest) -> HttpResponse:
    """Show the bad morning, or one part of it."""
    part = request.GET.get("part")
    return show(request, f"home/{part}.html" if part else "admin/index.html", home=home(), title="Now")


def show_calm_home(request: HttpRequest) -> HttpResponse:
    """Show the quiet day."""
    return show(request, "admin/index.html", home=calm_home(), title="Now")


def show_preview(request: HttpRequest) -> HttpResponse:
    """Show a preview."""
    return show(request, "actions/preview.html", **preview_context())


def show_run(request: HttpRequest) -> HttpResponse:
    """Show a run, over once it is asked with ?status=finished."""
    return show(request, "actions/run.html", **run_context(request.GET.get("status", "watching")))


def show_history(request: HttpRequest) -> HttpResponse:
    """Show a row's history."""
    user = User.objects.all()[0]
    return show(request, "actions/history.html", object=user, opts=User._meta, entries=entries())


class Rows(admin.ModelAdmin[User]):
    """A noun's list and page, as an operational admin makes them; users stand in for operations."""

    list_display = ("name", "state", "last_error", "attempts", "age", "verbs")
    list_display_links = ("name",)
    list_filter = ("is_staff", "is_active")
    search_fields = ("username",)
    actions = ("retry", "reset", "archive")
    fields = ("username", "email", "date_joined", "is_active")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    has_add_permission = has_change_permission
    has_delete_permission = has_change_permission

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        rows: Any = super().get_changelist_instance(request)
        rows.keyset = {"newer": None, "older": "?after=9", "total": 1_000_000, "estimated": True}
        return rows

    @admin.display(description="Operation")
    def name(self, row: User) -> str:
        return f"deal.create 3f2a{row.pk:04x}"

    @admin.display(description="State")
    def state(self, row: User) -> str:
        word = ("failed", "pending", "completed", "processing")[row.pk % 4]
        return render_to_string("console/state.html", {"status": word, "word": word})

    @admin.display(description="Last error")
    def last_error(self, row: User) -> str:
        return render_to_string(
            "console/line.html", {"text": "422, missing stage_id: " + HOSTILE if row.pk % 4 == 0 else ""}
        )

    @admin.display(description="Attempts")
    def attempts(self, row: User) -> int:
        return row.pk % 5

    @admin.display(description="Age")
    def age(self, row: User) -> str:
        return ago(before(minutes=row.pk % 90))

    @admin.display(description="")
    def verbs(self, row: User) -> str:
        named = ("Retry", "Resolve") if row.pk % 4 == 0 else ()
        verbs = [{"label": label, "help": "", "url": "/gallery/preview/"} for label in named]
        return render_to_string("console/row_verbs.html", {"verbs": verbs, "name": self.name(row)})

    @admin.action(description="Retry")
    def retry(self, request: HttpRequest, rows: Any) -> None:
        """Move nothing."""

    @admin.action(description="Reset")
    def reset(self, request: HttpRequest, rows: Any) -> None:
        """Move nothing."""

    @admin.action(description="Archive")
    def archive(self, request: HttpRequest, rows: Any) -> None:
        """Move nothing."""


def show_list(request: HttpRequest) -> HttpResponseBase:
    """Show a list with states, ages, errors, verbs."""
    return Rows(User, admin.site).changelist_view(request, {"tabs": tabs()})


def show_detail(request: HttpRequest) -> HttpResponseBase:
    """Show a row with verbs, payload and timeline."""
    key = str(User.objects.all()[0].pk)
    return Rows(User, admin.site).changeform_view(request, key, "", detail_context())


urlpatterns = [
    path("gallery/home/", show_home),
    path("gallery/calm/", show_calm_home),
    path("gallery/preview/", show_preview),
    path("gallery/run/", show_run),
    path("gallery/history/", show_history),
    path("gallery/list/", admin.site.admin_view(show_list)),
    path("gallery/detail/", show_detail),
    path("", include("opsconsole.urls")),
]
