"""What the console's templates need beyond Django's own: ages, durations, numbers, payloads, sparklines, the main lists."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django import template
from django.conf import settings
from django.contrib.admin.helpers import AdminReadonlyField
from django.template import Context
from django.urls import NoReverseMatch, reverse
from django.utils import formats, timezone
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.integrations.masking import masked

register = template.Library()

# Each group of the rail: a label, the page, and the permission to see it. A page that does not exist yet is left out.
NAVIGATION: list[list[tuple[str | Promise, str, str]]] = [
    [
        (gettext_lazy("Home"), "admin:index", ""),
        (gettext_lazy("Dashboard"), "admin:dashboard", "operations.view_pendingoperation"),
        (
            gettext_lazy("Operations"),
            "admin:operations_pendingoperation_changelist",
            "operations.view_pendingoperation",
        ),
        (gettext_lazy("Dead letters"), "admin:deadletters_deadletter_changelist", "deadletters.view_deadletter"),
        (
            gettext_lazy("Families"),
            "admin:deadletters_failurefamily_changelist",
            "deadletters.view_failurefamily",
        ),
    ],
    [
        (gettext_lazy("Queues"), "admin:jobs_queue_changelist", "jobs.view_queue"),
        (gettext_lazy("Workers"), "admin:jobs_process_changelist", "jobs.view_queue"),
        (gettext_lazy("Services"), "admin:integrations_service_changelist", "integrations.view_service"),
        (
            gettext_lazy("Events"),
            "admin:integrations_integrationevent_changelist",
            "integrations.view_integrationevent",
        ),
        (gettext_lazy("Endpoints"), "admin:integrations_endpoint_changelist", "integrations.view_endpoint"),
        (
            gettext_lazy("Event sources"),
            "admin:integrations_eventsource_changelist",
            "integrations.view_eventsource",
        ),
        (gettext_lazy("Jobs"), "admin:jobs_job_changelist", "jobs.view_job"),
        # What is still unresolved: a failure that a later success made up for is superseded.
        (gettext_lazy("Runs"), "admin:jobs_jobrun_changelist?status=failed", "jobs.view_jobrun"),
        (gettext_lazy("Syncs"), "admin:syncs_sync_changelist", "syncs.view_sync"),
        (gettext_lazy("Retention"), "admin:jobs_retentionpolicy_changelist", "jobs.view_retentionpolicy"),
    ],
    [
        (gettext_lazy("Health"), "admin:health", "jobs.view_queue"),
        (gettext_lazy("Calendar"), "admin:calendar", "jobs.view_jobrun"),
        (gettext_lazy("Database"), "admin:database", "jobs.change_queue"),
        (gettext_lazy("Logs"), "admin:jobs_logline_changelist", "jobs.read_logs"),
    ],
    [
        (gettext_lazy("History"), "admin:actions_actionrun_changelist", "actions.view_actionrun"),
        (gettext_lazy("People"), "admin:auth_user_changelist", "auth.view_user"),
        (gettext_lazy("Groups"), "admin:auth_group_changelist", "auth.view_group"),
        (gettext_lazy("API keys"), "admin:integrations_apikey_changelist", "integrations.view_apikey"),
        (gettext_lazy("Rate limits"), "admin:integrations_ratelimit_changelist", "integrations.view_ratelimit"),
        (
            gettext_lazy("Refused access"),
            "admin:integrations_accessrefusal_changelist",
            "integrations.view_accessrefusal",
        ),
    ],
]

ENVIRONMENTS = {
    "production": gettext_lazy("Production"),
    "prod": gettext_lazy("Production"),
    "qa": gettext_lazy("QA"),
    "development": gettext_lazy("Development"),
}
"""Names of places that every language has a word for; any other name is shown as it is given."""
UNKNOWN = "—"
MINUTE, HOUR, DAY, WEEK = 60, 3600, 86400, 7 * 86400

# What the words over columns mean, shown where one rests on them (S1-110 to S1-113).
GLOSSARY: list[tuple[str | Promise, str | Promise]] = [
    (
        gettext_lazy("dead letter"),
        gettext_lazy("Work that was given up after all its attempts, and waits for a person."),
    ),
    (
        gettext_lazy("circuit breaker"),
        gettext_lazy("Stops calls to a service that fails, and lets one probe decide when they go on."),
    ),
    (gettext_lazy("held"), gettext_lazy("The service asked us to wait. No attempt is used meanwhile.")),
    (gettext_lazy("last probe"), gettext_lazy("One harmless call: is it reachable, is our token valid?")),
    (gettext_lazy("attempts"), gettext_lazy("Calls made so far, of those made before it is given up.")),
    (
        gettext_lazy("failure class"),
        gettext_lazy("What kind of failure it is: what happens by itself, and what a person must do."),
    ),
    (gettext_lazy("repeats"), gettext_lazy("How often it was given up again after it had been sent on its way.")),
    (gettext_lazy("oldest due"), gettext_lazy("Since when the longest waiting work could have been sent.")),
    (gettext_lazy("waiting"), gettext_lazy("Pending work: due, or waiting for its next attempt.")),
    (gettext_lazy("workers at once"), gettext_lazy("So many workers take from this queue at the same time.")),
    (
        gettext_lazy("per minute"),
        gettext_lazy("Rows that came to wait, and rows done or given up, by the last five minutes."),
    ),
    (gettext_lazy("all out in"), gettext_lazy("When the queue is empty, if rows come and go as they do now.")),
    (gettext_lazy("workers at it"), gettext_lazy("Workers that take from it now, of those that it lets in at once.")),
    (
        gettext_lazy("what became of them"),
        gettext_lazy("Moved rows that succeeded since, failed again, or are still on their way."),
    ),
    (
        gettext_lazy("door"),
        gettext_lazy("Where it was asked: the admin, the API, the command line, a runbook or the system."),
    ),
]


@dataclass(frozen=True)
class Place:
    """An entry of the rail."""

    label: str | Promise
    url: str
    current: bool


@register.simple_tag(takes_context=True)
def navigation(context: Context) -> list[list[Place]]:
    """Return the main lists that exist and that the reader may see, in groups."""
    request = context["request"]
    groups = [[place(request, *entry) for entry in group] for group in NAVIGATION]
    return [found for group in groups if (found := [each for each in group if each])]


def place(request: Any, label: str | Promise, name: str, permission: str) -> Place | None:
    """Return an entry of the rail, or nothing where the page is missing or closed to the reader."""
    view, mark, filters = name.partition("?")
    try:
        url = reverse(view)
    except NoReverseMatch:
        return None
    if permission and not request.user.has_perm(permission):
        return None
    home = reverse("admin:index")
    return Place(label, f"{url}{mark}{filters}", request.path == url or (url != home and request.path.startswith(url)))


@register.simple_tag(takes_context=True)
def left_on(context: Context) -> str:
    """Return how many things people left paused, forced open or ignored, as the badge says it; nothing where none is."""
    from opsconsole.left_on import COUNTED_UP_TO, count  # the models are read by now

    found = count(context["request"])
    return f"{COUNTED_UP_TO}+" if found > COUNTED_UP_TO else str(found or "")


@register.simple_tag(takes_context=True)
def log_lines(context: Context, row: Any) -> str:
    """Return the address of the lines that the log has of a row, or nothing where the reader may not see them."""
    if not context["request"].user.has_perm("jobs.read_logs") or not isinstance(row.pk, UUID):
        return ""
    word = "run" if row._meta.label_lower == "jobs.jobrun" else "object"
    return f"{reverse('admin:jobs_logline_changelist')}?{word}={row.pk}"


@register.inclusion_tag("console/environment.html")
def environment() -> dict[str, str]:
    """Show the name of the place this console runs in, and of which kind it is: production, development or a trial."""
    name = str(settings.ENVIRONMENT)
    kind = {"prod": "production", "production": "production", "development": "development"}.get(name.lower(), "trial")
    return {"kind": kind, "name": str(ENVIRONMENTS.get(name.lower(), name))}


@register.simple_tag
def simulated() -> bool:
    """Say whether a simulator plays the far ends here."""
    return bool(settings.SIMULATOR_URL)


@register.filter
def meaning(word: str) -> str:
    """Return what a word of ours means, or nothing where it explains itself."""
    return next((str(told) for known, told in GLOSSARY if str(known) == word), "")


@register.filter
def ago(moment: datetime | None) -> str | SafeString:
    """Write a moment as an age (`3 min ago`, `in 2 h`), with the exact time as its title."""
    if moment is None:
        return UNKNOWN
    # Only for reading, so the web server's clock will do.
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(timespec="seconds"),
        formats.date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT"),
        in_words(seconds, moment),
    )


def in_words(seconds: float, moment: datetime) -> str:
    """Return an age, or a time to come where the seconds are negative, in at most three short words."""
    if abs(seconds) >= WEEK:
        return formats.date_format(timezone.localtime(moment), "d M Y")
    if abs(seconds) < 1:
        return _("now")
    span = rough(abs(seconds))
    return (_("%(span)s ago") if seconds > 0 else _("in %(span)s")) % {"span": span}


def rough(seconds: float) -> str:
    """Return a span of time in its largest unit."""
    for size, unit in ((DAY, _("d")), (HOUR, _("h")), (MINUTE, _("min"))):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} " + _("s")


@register.filter
def duration(value: timedelta | float | None) -> str:
    """Write a span (a timedelta or seconds) in its two largest units: `420 ms`, `3.1 s`, `2 min 5 s`."""
    if value is None:
        return UNKNOWN
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < MINUTE:
        return f"{formats.localize(round(seconds, 1))} s"
    for size, unit, smaller in ((DAY, _("d"), HOUR), (HOUR, _("h"), MINUTE), (MINUTE, _("min"), 1)):
        if seconds >= size:
            rest = int(seconds % size // smaller)
            return f"{int(seconds // size)} {unit}" + (f" {rough(rest * smaller)}" if rest else "")
    return ""


@register.filter
def number(value: float | None) -> str:
    """Write a number with its thousands apart. An unknown one is a dash, never a zero."""
    return UNKNOWN if value is None else str(formats.number_format(value, use_l10n=True, force_grouping=True))


@register.filter
def pretty_json(value: Any) -> str:
    """Write a payload indented, with what looks secret or personal masked. The template escapes it."""
    return json.dumps(masked(value), indent=2, ensure_ascii=False, default=str)


@register.filter
def reading(field: AdminReadonlyField) -> str:
    """Return what stands in a field that is only read: names in words, not in JSON."""
    value = getattr(field.form.instance, str(field.field["field"]), None)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value) or UNKNOWN
    contents: str = field.contents()
    return contents


@register.inclusion_tag("console/sparkline.html")
def sparkline(values: Sequence[float], label: str = "") -> dict[str, Any]:
    """Draw a day's numbers as a line of 96 by 24; the label says what it shows, the numbers stand beside it."""
    top = max([*values, 1])
    step = 96 / max(len(values) - 1, 1)
    points = [f"{index * step:.1f},{22 - 20 * value / top:.1f}" for index, value in enumerate(values)]
    return {"points": " ".join(points), "label": label, "most": max(values, default=0)}
