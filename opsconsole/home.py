"""The home page: is anything wrong, since when, how bad, what do I press.

Each part of the page asks again for itself, so each is made of a few indexed queries: counts come from the database's
own tally, causes from the unresolved dead letters alone.
"""

import datetime as dt
from collections import Counter
from functools import cached_property
from secrets import token_hex
from typing import Any, TypedDict, cast
from urllib.parse import urlencode

import redis
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.actions.admin import VerbAdmin, figure, line
from apps.actions.running import database_now
from apps.actions.verbs import Acted
from apps.deadletters.admin import DeadLetterAdmin
from apps.deadletters.causes import Cause, causes
from apps.deadletters.failures import FailureClass
from apps.deadletters.models import DeadLetter
from apps.integrations import keys
from apps.integrations.models import CircuitBreaker, Service
from apps.jobs.models import Heartbeat, JobRun
from apps.jobs.stats import Lateness, lateness
from apps.operations.backlog import backlogs, counts
from apps.operations.ended import quarters
from opsconsole import left_on, restored
from opsconsole.demo import tour

Told = dict[str, Any]
"""What a template is told of one thing; templates/home/home.html names the words."""

BROKER_SECONDS = 0.3
CAUSES_SHOWN = 8
SERVICES_SHOWN = 5
"""Where there are more, those of which there is nothing to say stand together in one line."""
KEYS_NAMED = 5
HOURS = 24
LIST = "admin:operations_pendingoperation_changelist"


class Home(TypedDict, total=False):
    """What the home page is made of; a part of it is made of a part of these."""

    headline: Told
    banners: list[Told]
    numbers: list[Told]
    failures: list[Told]
    services: list[Told]
    quiet_services: Told | None
    paused: list[Told]
    chart: Told | None
    guide: Told | None
    asked_at: dt.datetime


PARTS: dict[str, tuple[str, ...]] = {
    "pulse": ("headline", "banners", "numbers", "asked_at"),
    "guide": ("guide",),
    "failures": ("failures",),
    "services": ("services", "quiet_services"),
    "paused": ("paused",),
    "chart": ("chart",),
}
"""What each part that refreshes itself is made of."""


def home(request: HttpRequest, part: str = "") -> Home:
    """Return the home page, or one part of it, as its templates read it."""
    now = Situation(request)
    words = PARTS[part] if part else [word for made_of in PARTS.values() for word in made_of]
    return cast("Home", {word: getattr(now, word) for word in words})


class Situation:
    """How things stand at this moment, each asked for at most once."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.asked_at = database_now()

    # What is looked up

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many operations stand in each state."""
        return counts()

    @cached_property
    def causes(self) -> list[Cause]:
        """What failed, by family; ignored ones are left out."""
        return causes(CAUSES_SHOWN)

    @cached_property
    def known_services(self) -> list[Service]:
        """The services with their breakers."""
        return list(Service.objects.select_related("breaker").order_by("slug"))

    @cached_property
    def waiting(self) -> dict[Any, tuple[int, dt.datetime | None]]:
        """What waits for each service, and since when."""
        return backlogs("service")

    @cached_property
    def by_hour(self) -> dict[str, list[int]]:
        """Completed and failed operations of the last day, by hour, the oldest first."""
        found: dict[str, Counter[dt.datetime]] = {"completed": Counter(), "failed": Counter()}
        for status, ended in quarters(self.hours[0]).items():
            for quarter, count in ended.items():
                found[status][quarter - (quarter - self.hours[0]) % dt.timedelta(hours=1)] += count
        return {status: [counted[hour] for hour in self.hours] for status, counted in found.items()}

    @cached_property
    def hours(self) -> list[dt.datetime]:
        """The hours of the last day."""
        this = timezone.localtime(self.asked_at).replace(minute=0, second=0, microsecond=0)
        return [this - dt.timedelta(hours=back) for back in reversed(range(HOURS))]

    # The one look

    @property
    def headline(self) -> Told:
        """One sentence: is anything wrong, and since when."""
        wrong = self._wrong()
        if not wrong:
            held = (
                self.counts["pending"] > settings.PENDING_ALERT_THRESHOLD
                or self._silent is not None
                or self._restored is not None
            )
            words = _("Nothing failed, but look at the warnings above.") if held else _("Nothing is wrong.")
            return {"state": "warning" if held else "completed", "words": words, "since": None}
        words = ngettext("%(count)s thing needs you: %(what)s", "%(count)s things need you: %(what)s", len(wrong))
        told = "; ".join(sentence for sentence, _since in wrong[:2]) + ("; …" if len(wrong) > 2 else ".")
        since = min((moment for _words, moment in wrong if moment), default=None)
        return {"state": "failed", "words": words % {"count": len(wrong), "what": told}, "since": since}

    def _wrong(self) -> list[tuple[str, dt.datetime | None]]:
        open_breakers = [
            (_("%(service)s is held back") % {"service": service.name}, service.breaker.opened_at)
            for service in self.known_services
            if _breaker_status(service) in (CircuitBreaker.Status.OPEN, CircuitBreaker.Status.HALF_OPEN)
        ]
        failed = [(_told_cause(cause), cause.since) for cause in self.causes]
        return [*open_breakers, *failed]

    @property
    def banners(self) -> list[Told]:
        """What must not be overlooked, gravest first."""
        found = [
            self._restored,
            self._poison(),
            self._broker(),
            self._silent,
            self._late(),
            self._missed(),
            *self._breached(),
            self._keys_due(),
        ]
        return [banner for banner in found if banner]

    @cached_property
    def _restored(self) -> Told | None:
        why = restored.reason()
        if not why:
            return None
        words = _("Everything is paused: %(why)s.") % {"why": why} + " " + restored.may_have_been_sent()
        return {"state": "failed", "words": words, "url": restored.list_address(), "link": _("Look at them")}

    def _poison(self) -> Told | None:
        poison = DeadLetter.objects.filter(status=DeadLetter.Status.UNRESOLVED, failure_class=FailureClass.POISON)
        count = poison[:1000].count()
        if not count:
            return None
        words = ngettext(
            "%(count)s operation killed its worker four times and was set aside as poison.",
            "%(count)s operations killed their workers four times and were set aside as poison.",
            count,
        )
        url = reverse("admin:deadletters_deadletter_changelist") + "?status=unresolved&class=poison"
        return {"state": "failed", "words": words % {"count": figure(count)}, "url": url, "link": _("Look at it")}

    def _keys_due(self) -> Told | None:
        """The quarterly rotation of keys, where its day has come (S1-88)."""
        if not self.request.user.has_perm("integrations.view_apikey"):
            return None
        due = list(keys.overdue()[:KEYS_NAMED])
        if not due:
            return None
        words = ngettext(
            "%(names)s should have been rotated %(age)s ago.",
            "%(names)s should have been rotated, the first %(age)s ago.",
            len(due),
        )
        told = {"names": ", ".join(map(str, due)), "age": timesince(due[0].due_at, self.asked_at, depth=1)}
        words_of_list = urlencode({"status": "active", "due_before": self.asked_at.isoformat()})
        url = f"{reverse('admin:integrations_apikey_changelist')}?{words_of_list}"
        return {"state": "warning", "words": words % told, "url": url, "link": _("Rotate them")}

    def _broker(self) -> Told | None:
        if broker_answers():
            return None
        words = _("The broker cannot be reached: work is kept, and starts when it is back.")
        return {"state": "warning", "words": words}

    @cached_property
    def _silent(self) -> Told | None:
        silent = [beat for beat in Heartbeat.objects.all() if beat.silent_at(self.asked_at)]
        if not silent:
            return None
        words = _("%(names)s fell silent %(age)s ago: nothing is sent until the workers and beat run again.") % {
            "names": ", ".join(beat.name for beat in silent),
            "age": timesince(min(beat.beat_at for beat in silent), self.asked_at),
        }
        return {"state": "failed", "words": words, "url": reverse("admin:jobs_heartbeat_changelist"), "link": _("Look")}

    @cached_property
    def _lateness(self) -> Lateness:
        return lateness()

    def _late(self) -> Told | None:
        """A run that nobody begins, while the tick beats: its workers are down, or too few."""
        late = self._lateness
        if not (late.runs or late.slots) or not self.request.user.has_perm("jobs.view_jobrun"):
            return None
        words = ngettext(
            "%(count)s job run is late, for %(age)s: are the workers of the queue jobs running?",
            "%(count)s job runs are late, the first for %(age)s: are the workers of the queue jobs running?",
            late.runs + late.slots,
        )
        told = {
            "count": figure(late.runs + late.slots),
            "age": timesince(late.since or self.asked_at, self.asked_at, depth=1),
        }
        url = reverse("admin:jobs_jobrun_changelist") + "?status=queued"
        return {"state": "warning", "words": words % told, "url": url, "link": _("Look")}

    def _missed(self) -> Told | None:
        count = self._lateness.missed
        if not count or not self.request.user.has_perm("jobs.view_jobrun"):
            return None
        words = ngettext(
            "%(count)s slot of a job was missed in the last 24 hours: nothing ticked when it was due.",
            "%(count)s slots of jobs were missed in the last 24 hours: nothing ticked when they were due.",
            count,
        )
        url = reverse("admin:jobs_jobrun_changelist") + f"?error={JobRun.MISSED}"
        return {"state": "warning", "words": words % {"count": figure(count)}, "url": url, "link": _("Look")}

    def _breached(self) -> list[Told]:
        """Both thresholds of runbook 0 are strict: 50 pending and 10 failed do not alert (S0-22)."""
        pending, failed = self.counts["pending"], self.counts["failed"]
        told = []
        if pending > settings.PENDING_ALERT_THRESHOLD:
            words = _("%(count)s operations are pending, more than %(most)s: check the CRM.")
            told.append(_banner(words, pending, settings.PENDING_ALERT_THRESHOLD, "pending"))
        if failed > settings.FAILED_ALERT_THRESHOLD:
            words = _("%(count)s operations have failed, more than %(most)s: investigate the errors.")
            told.append(_banner(words, failed, settings.FAILED_ALERT_THRESHOLD, "failed"))
        return told

    @property
    def numbers(self) -> list[Told]:
        """The figures in one row."""
        above = _("alert above %(most)s")
        pending, failed = self.counts["pending"], self.counts["failed"]
        most_pending, most_failed = settings.PENDING_ALERT_THRESHOLD, settings.FAILED_ALERT_THRESHOLD
        oldest = min((since for _count, since in self.waiting.values() if since), default=None)
        return [
            _tile(_("Pending"), pending, "pending", pending > most_pending, above % {"most": figure(most_pending)}),
            _tile(_("Processing"), self.counts["processing"], "processing"),
            _tile(_("Failed"), failed, "failed", failed > most_failed, above % {"most": figure(most_failed)})
            | {"day": self.by_hour["failed"]},
            _tile(_("Completed"), self.counts["completed"], "completed") | {"day": self.by_hour["completed"]},
            {"label": _("Oldest due"), "value": None, "words": _age(oldest, self.asked_at), "url": _list("pending")},
        ]

    @property
    def chart(self) -> Told | None:
        """The day as one figure."""
        completed, failed = self.by_hour["completed"], self.by_hour["failed"]
        rows = zip(self.hours, completed, failed, strict=True)
        return {
            "id": "day",
            "data_id": "day-data",
            "title": _("The last 24 hours"),
            "series": [
                {"label": _("completed"), "state": "completed"},
                {"label": _("failed and still waiting"), "state": "failed"},
            ],
            "rows": [{"at": at, "values": [good, bad]} for at, good, bad in rows],
            "data": {
                "times": [round(at.timestamp()) for at in self.hours],
                "values": [completed, failed],
                "labels": [_("completed"), _("failed and still waiting")],
                "zone": timezone.get_current_timezone_name(),
            },
        }

    # What to press

    @property
    def failures(self) -> list[Told]:
        """What failed, by cause, each with what to press."""
        pages = admin.site.get_model_admin(DeadLetter)
        assert isinstance(pages, DeadLetterAdmin)  # noqa: S101 # registered so
        return [*self._held_back(), *(pages.told_cause(self.request, cause) for cause in self.causes)]

    def _held_back(self) -> list[Told]:
        """What waits behind a breaker: it was not given up, but it needs somebody all the same."""
        return [
            {
                "id": f"held-{service.slug}",
                "state": "warning",
                "count": self.waiting[service.pk][0],
                "cause": _("held back: the circuit breaker is open"),
                "service": service.slug,
                "since": service.breaker.opened_at,
                "sample": _reason(service),
                "advice": _held_advice(service),
                "url": f"{_list('pending')}&service={service.slug}",
                "verbs": self._buttons(service, "probe"),
            }
            for service in self.known_services
            if _breaker_status(service) == CircuitBreaker.Status.OPEN and service.pk in self.waiting
        ]

    @property
    def services(self) -> list[Told]:
        """The services: do they answer, what holds them, what waits."""
        return [self._service(service) for service in self.known_services if service not in self._quiet]

    @property
    def quiet_services(self) -> Told | None:
        """The services of which there is nothing to say, in one line."""
        if not self._quiet:
            return None
        words = ngettext(
            "%(count)s more service: nothing waits, nothing is wrong.",
            "%(count)s more services: nothing waits, nothing is wrong.",
            len(self._quiet),
        )
        url = reverse("admin:integrations_service_changelist")
        return {"words": words % {"count": len(self._quiet)}, "url": url}

    @cached_property
    def _quiet(self) -> list[Service]:
        """Services that nobody called for a day and nothing waits for; none where there are few services in all."""
        if len(self.known_services) <= SERVICES_SHOWN:
            return []
        return [service for service in self.known_services if self._nothing_to_say(service)]

    def _nothing_to_say(self, service: Service) -> bool:
        calm = service.status == Service.Status.ACTIVE and _breaker_status(service) == CircuitBreaker.Status.CLOSED
        held = service.waits_until is not None and service.waits_until > self.asked_at
        called = service.tokens_at is not None and service.tokens_at > self.asked_at - dt.timedelta(hours=HOURS)
        return calm and not (held or called or service.pk in self.waiting or service.probe_ok is False)

    def _service(self, service: Service) -> Told:
        breaker = getattr(service, "breaker", None)
        held = service.waits_until is not None and service.waits_until > self.asked_at
        opens = breaker is not None and breaker.status != CircuitBreaker.Status.CLOSED
        return {
            "name": service.name,
            "url": reverse("admin:integrations_service_change", args=[service.pk]),
            "status": service.status,
            "word": service.get_status_display(),
            "breaker": _breaker_status(service),
            "breaker_word": breaker.get_status_display() if breaker else _("no breaker yet"),
            "opens_again_at": breaker.probe_due_at if breaker and opens else None,
            "held_until": service.waits_until if held else None,
            "held_because": service.waits_because,
            "waiting": self.waiting.get(service.pk, (0, None))[0],
            "probed_at": service.probed_at,
            "probe_good": service.probe_ok,
            "probe_words": line(service.probe_said),
            "verbs": [
                *self._buttons(service, "probe"),
                *(self._buttons(breaker, "reset") if breaker and opens else []),
            ],
        }

    @property
    def guide(self) -> Told | None:
        """The tour of the demo company, where there is one."""
        return tour.guide(self.request)

    @property
    def paused(self) -> list[Told]:
        """What people left paused, forced open or ignored, with who did it and why."""
        return left_on.things(self.request, reverse("admin:index"))

    def _buttons(self, row: Acted, *names: str) -> list[Told]:
        pages = cast("VerbAdmin[Any]", admin.site.get_model_admin(type(row)))
        permitted = pages.permitted(self.request)
        fields = [("key", token_hex(16)), ("back", reverse("admin:index"))]
        return [pages.told_verb(permitted[name], row, fields=fields) for name in names if name in permitted]


def broker_answers() -> bool:
    """Say whether the broker can be reached, within a moment. Asking changes nothing."""
    limits = {"socket_timeout": BROKER_SECONDS, "socket_connect_timeout": BROKER_SECONDS}
    try:
        with redis.Redis.from_url(settings.REDIS_URL, **limits) as broker:
            return bool(broker.ping())
    except (redis.RedisError, OSError):
        return False


def _breaker_status(service: Service) -> str:
    breaker = getattr(service, "breaker", None)
    return str(breaker.status) if breaker else ""


def _reason(service: Service) -> str:
    return line(service.breaker.reason) or str(service.breaker.get_status_display())


def _held_advice(service: Service) -> str:
    advice = _("Nothing is lost and no attempt is used. They go out when the service answers a probe.")
    if not service.credentials:
        return advice
    mend = _("Where its token was rotated, put the new one in place: manage.py set_credential %(service)s")
    return f"{advice} {mend % {'service': service.slug}}"


def _told_cause(cause: Cause) -> str:
    told = {"count": figure(cause.count), "title": cause.title, "error": cause.family.error_type}
    return _("%(count)s × %(title)s, %(error)s") % told  # noqa: RUF001 # the sign for times


def _tile(label: str, value: int, status: str, breached: bool = False, threshold: str = "") -> Told:
    tile = {"label": label, "value": value, "url": _list(status), "breached": breached, "threshold": threshold}
    return tile | {"state": status}


def _banner(words: str, count: int, most: int, status: str) -> Told:
    told = words % {"count": figure(count), "most": figure(most)}
    return {"state": "failed", "words": told, "url": _list(status), "link": _("Show them")}


def _list(status: str) -> str:
    return f"{reverse(LIST)}?status={status}"


def _age(moment: dt.datetime | None, now: dt.datetime) -> str:
    if moment is None or moment > now:
        return _("nothing waits")
    return timesince(moment, now, depth=1)
