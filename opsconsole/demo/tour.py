"""The guided tour of the demo company: break the CRM, watch, mend it, retry with a canary, see everything confirmed.

What it tells is read from the rows, and its buttons do what the pages' own do. Where a visitor is stands in the session.
"""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.actions.actors import Actor
from apps.actions.models import ActionRun
from apps.actions.pacing import STAGES
from apps.actions.running import Pace, Preview, database_now, preview, run
from apps.actions.selections import Selection
from apps.actions.tasks import advance, wake
from apps.actions.verbs import Refused
from apps.integrations.models import CircuitBreaker, Service
from apps.integrations.tasks import answer_probes
from apps.operations.models import PendingOperation
from opsconsole.demo import far_end
from opsconsole.demo.company import CRM, played

Told = dict[str, Any]

BREAK, WATCH, PROBE, RETRY, SCORE = range(1, 6)
AWAY = 0
NEEDED = "operations.retry_pendingoperation"
PLACE = "tour"
"""The session's word for where a visitor is: `{"step": 5, "run": "…", "expected": 39}`."""
FAILED = {"status": "failed", "service": CRM}


def guide(request: HttpRequest) -> Told | None:
    """Return the step a visitor is at, as console/guide.html reads it; None where there is no tour. Changes nothing."""
    service = played(CRM) if request.user.has_perm(NEEDED) else None
    tour = Tour(request, service) if service else None
    if tour is None or tour.step == AWAY:
        return None
    shared = {"number": tour.step, "of": SCORE, "dismiss_url": _url("away")}
    return shared | TOLD[tour.step](tour)


@require_POST
def press(request: HttpRequest, what: str) -> HttpResponse:
    """Do what a button of the tour says, and come back to the home page."""
    service = played(CRM)
    if service is None or what not in PRESSED:
        raise Http404
    if not request.user.has_perm(NEEDED):
        raise PermissionDenied
    try:
        request.session[PLACE] = PRESSED[what](Tour(request, service))
    except (far_end.Away, Refused) as error:
        messages.error(request, str(error))
    return redirect("admin:index")


class Tour:
    """One visitor's tour, and how things stand."""

    def __init__(self, request: HttpRequest, service: Service) -> None:
        self.service, self.breaker = service, service.breaker
        self.actor = Actor.of_user(request.user)
        self.place: Told = request.session.get(PLACE, {"step": BREAK})

    @property
    def step(self) -> int:
        """Where the visitor is; the probe's step is over when the breaker has closed."""
        step = int(self.place["step"])
        return RETRY if step == PROBE and self.closed else step

    @property
    def closed(self) -> bool:
        """Whether calls go out."""
        return bool(self.breaker.status == CircuitBreaker.Status.CLOSED)

    @property
    def waiting(self) -> int:
        """How many operations wait for the CRM."""
        return PendingOperation.objects.filter(status="pending", service=self.service).count()

    @cached_property
    def failed(self) -> Preview:
        """What a retry of everything that failed would do."""
        return preview(PendingOperation.retry, self.selection, self.actor)

    @property
    def selection(self) -> Selection:
        """Everything that failed on its way to the CRM."""
        return Selection.matching(PendingOperation, FAILED)

    @cached_property
    def run(self) -> ActionRun | None:
        """The retry that the visitor started."""
        return ActionRun.objects.filter(pk=self.place["run"]).first() if self.place.get("run") else None


# What is told


def _told_break(tour: Tour) -> Told:
    return {
        "title": _("Break the CRM"),
        "words": _(
            "The company is invented and the CRM is played by a simulator; all the rest is real. Take the CRM down, and see what becomes of the work."
        ),
        "url": _url("break"),
        "button": _("Break the CRM"),
        "skip": _("Skip to the retry"),
        "skip_url": _url("skip"),
    }


def _told_watch(tour: Tour) -> Told:
    if tour.closed:
        title = _("The CRM is down")
        words = _("Calls fail: %(failures)s in a row so far. At %(most)s the circuit breaker opens.") % {
            "failures": tour.breaker.failures,
            "most": tour.breaker.failure_threshold,
        }
        return {"title": title, "words": words, "skip": _("Mend it now"), "skip_url": _url("mend")}
    title = _("The breaker is open, and the queue grows: %(count)s wait") % {"count": tour.waiting}
    words = _(
        "Nothing is sent, so nothing is lost and no attempt is used. One probe asks every %(wait)s s whether the CRM is back."
    ) % {"wait": tour.breaker.timeout_seconds}
    return {"title": title, "words": words, "url": _url("mend"), "button": _("Mend the CRM")}


def _told_probe(tour: Tour) -> Told:
    words = _(
        "It answers again, and the stage that somebody had deleted is back. The next probe closes the breaker, in %(wait)s s at most; then %(count)s operations go out, slowly at first."
    ) % {"wait": _seconds_to_probe(tour.breaker), "count": tour.waiting}
    return {"title": _("Mended: one probe decides"), "words": words, "url": _url("probe"), "button": _("Probe it now")}


def _told_retry(tour: Tour) -> Told:
    if not tour.failed.moving:
        title = _("Nothing failed that may be retried")
        return {"title": title, "words": "", "skip": _("Start again"), "skip_url": _url("restart")}
    words = _("One goes first, then ten, then the rest; it stops by itself when more than a fifth fail again.")
    if unsure := tour.failed.total - tour.failed.moving:
        words += " " + _("%(count)s are left out, for they may have arrived: a person looks at those.") % {
            "count": unsure
        }
    page = reverse("admin:operations_pendingoperation_verb", args=["retry"])
    return {
        "title": _("Retry what failed, with a canary"),
        "words": words,
        "url": _url("retry"),
        "button": _("Retry %(count)s") % {"count": tour.failed.moving},
        "link": _("Look at the preview first"),
        "link_url": f"{page}?status=failed&service={CRM}",
    }


def _told_score(tour: Tour) -> Told:
    if tour.run is None:
        return _told_retry(tour)
    if tour.run.status == ActionRun.Status.STOPPED:
        return _told_stopped(tour.run)
    return _told_run(tour.run, int(tour.place["expected"]))


def _told_run(record: ActionRun, expected: int) -> Told:
    done = record.status == ActionRun.Status.FINISHED
    # The refused are known when the last row was looked at; until then the preview's number stands.
    counts = {"confirmed": record.confirmed, "moved": record.moved, "total": record.moved if done else expected}
    words = _(
        "Every one went out under the key it always had. Open one of them and follow its link to the far end: one deal, however many calls."
    )
    if not done:
        words = _("%(moved)s of %(total)s are on their way: %(stage)s.") % {**counts, "stage": _stage(record)}
    return {
        "title": _("%(confirmed)s of %(total)s confirmed") % counts,
        "words": words,
        "link": _("See the run"),
        "link_url": record.get_absolute_url(),
        "more": _("See them at the far end") if done else "",
        "more_url": settings.SIMULATOR_URL if done else "",
        "skip": _("Start again"),
        "skip_url": _url("restart") if done else "",
    }


def _told_stopped(record: ActionRun) -> Told:
    return {
        "title": _("The canary stopped it"),
        "words": record.stop_reason + " " + _("The CRM still refuses them: its stage is missing. Mend it and go on."),
        "url": _url("resume"),
        "button": _("Mend the CRM and go on"),
        "link": _("See the run"),
        "link_url": record.get_absolute_url(),
    }


TOLD: dict[int, Callable[[Tour], Told]] = {
    BREAK: _told_break,
    WATCH: _told_watch,
    PROBE: _told_probe,
    RETRY: _told_retry,
    SCORE: _told_score,
}


# What is pressed: each returns where the visitor is then


def _break(tour: Tour) -> Told:
    far_end.break_down(CRM)
    return {"step": WATCH}


def _mend(tour: Tour) -> Told:
    far_end.mend(CRM)
    return {"step": PROBE}


def _probe(tour: Tour) -> Told:
    run(CircuitBreaker.reset, Selection.ticked(CircuitBreaker, [tour.breaker.pk]), tour.actor)
    transaction.on_commit(partial(wake, answer_probes))
    return {"step": PROBE}


def _retry(tour: Tour) -> Told:
    expected = tour.failed.moving
    record = run(PendingOperation.retry, tour.selection, tour.actor, pace=Pace())
    transaction.on_commit(partial(wake, advance))
    return {"step": SCORE, "run": str(record.pk), "expected": expected}


def _resume(tour: Tour) -> Told:
    far_end.mend(CRM)
    if tour.run:
        run(ActionRun.resume, Selection.ticked(ActionRun, [tour.run.pk]), tour.actor)
        transaction.on_commit(partial(wake, advance))
    return tour.place


def _skip(tour: Tour) -> Told:
    return {"step": RETRY}


def _restart(tour: Tour) -> Told:
    return {"step": BREAK}


def _away(tour: Tour) -> Told:
    """Put the tour away. Nobody is left with a broken CRM."""
    if tour.step in (WATCH, PROBE):
        far_end.mend(CRM)
    return {"step": AWAY}


PRESSED: dict[str, Callable[[Tour], Told]] = {
    "break": _break,
    "mend": _mend,
    "probe": _probe,
    "retry": _retry,
    "resume": _resume,
    "skip": _skip,
    "restart": _restart,
    "away": _away,
}


def _url(what: str) -> str:
    return reverse("tour", args=[what])


def _seconds_to_probe(breaker: CircuitBreaker) -> int:
    due = breaker.probe_due_at
    return max(round((due - database_now()).total_seconds()), 0) if due else 0


def _stage(record: ActionRun) -> str:
    if record.stage < len(STAGES):
        return _("the canary, %(count)s at a time") % {"count": STAGES[record.stage]}
    return _("the rest")
