"""A company in which every verb of every noun finds a row that it may move."""

from typing import Any

from django.contrib.auth.models import Group

from apps.actions.models import ActionRun
from apps.actions.running import run, step
from apps.actions.selections import Selection
from apps.actions.verbs import Acted, Verb, nouns, verbs_of
from apps.deadletters.models import DeadLetter
from apps.integrations import keys
from apps.integrations.models import CircuitBreaker, Endpoint, EventSource, IntegrationEvent, Service
from apps.jobs.models import Job, JobRun, Queue, RetentionPolicy, Tenant
from apps.syncs.models import RejectedRecord, Sync
from tests.cast import ROOT, Company
from tests.integrations.events import event_of

VERBS = [verb for noun in nouns() for verb in verbs_of(noun).values()]
"""Every verb that is declared. A new one is tested by being among them."""


ARCHIVED = {"reason": "the customer withdrew"}


def populate(company: Company) -> None:
    """Put rows into every state that a verb starts from, and that the demo company lacks."""
    held = {"reason": "year-end closing"}
    run(Queue.pause, one(Queue, company.books), ROOT, given=held)
    run(Service.pause, one(Service, company.erp), ROOT, given=held)
    run(CircuitBreaker.force_open, one(CircuitBreaker, company.erp.breaker), ROOT, given=held)
    run(Tenant.pause, one(Tenant, Tenant.objects.create(slug="away", name="Away")), ROOT, given=held)
    Tenant.objects.create(slug="acme", name="Acme")
    lead = {"name": "Leads", "event_type": "lead.*", "service": company.piperun, "operation_type": "person.create"}
    for slug in ("leads", "visits"):
        Endpoint.objects.create(slug=slug, **lead).mapped_by({"name": {"from": "data.name"}}, "ana")
    run(Endpoint.pause, one(Endpoint, Endpoint.objects.get(slug="visits")), ROOT, given=held)
    run(RetentionPolicy.hold, one(RetentionPolicy, RetentionPolicy.objects.get(slug="history")), ROOT, given=held)
    _tell_events()
    _run_jobs()
    _sync(company)
    keys.make("The site", Group.objects.get(name="Viewer"))
    for status in ("queued", "paused"):
        ActionRun.objects.create(
            verb="retry",
            kind="operations.pendingoperation",
            status=status,
            actor_name="root",
            door="command",
            selection={"ids": []},
        )
    letter = DeadLetter.objects.get(source_id=company.operations["archived"][0].pk)
    assert letter.status == "archived"


def _run_jobs() -> None:
    """A job that is paused beside one that is not, and a run in each state, one of them archived."""
    active, paused = Job.objects.get(slug="cleanup"), Job.objects.create(slug="tell", name="Tell")
    run(Job.pause, one(Job, paused), ROOT, given={"reason": "a flood of mails"})
    for state in ("queued", "failed", "superseded", "succeeded"):
        JobRun.objects.create(job=active, status=state)
    put_away = JobRun.objects.create(job=active, status="failed")
    run(JobRun.archive, one(JobRun, put_away), ROOT, given=ARCHIVED)


def _sync(company: Company) -> None:
    """A sync that is paused beside one that is not, and a rejected record in each state, one of them archived."""
    job, acme = Job.objects.get(slug="erp-sync"), Tenant.objects.get(slug="acme")
    sync = Sync.objects.create(job=job, tenant=acme, service=company.erp)
    away = Sync.objects.create(job=job, tenant=Tenant.objects.get(slug="away"), service=company.erp)
    run(Sync.pause, one(Sync, away), ROOT, given={"reason": "the ERP moves"})
    for code in ("pending", "failed", "archived"):
        row = RejectedRecord.objects.create(sync=sync, job=job, tenant=acme, entity="customer", code=code)
        if code != "pending":
            why: dict[str, Any] = {"failure_class": "permanent_data", "error_type": "unreadable", "last_error": "x"}
            why |= {"error_fields": {}, "told": {}, "digest": ""}
            step(RejectedRecord.reject, RejectedRecord.objects.filter(pk=row.pk), **why)
    put_away = RejectedRecord.objects.get(code="archived")
    run(RejectedRecord.archive, one(RejectedRecord, put_away), ROOT, given=ARCHIVED)


def _tell_events() -> None:
    """An event in each state, one of them archived, from a source beside which another is paused."""
    site, forms = (EventSource.objects.create(slug=slug, name=slug) for slug in ("site", "forms"))
    run(EventSource.pause, one(EventSource, forms), ROOT, given={"reason": "a flood of tests"})
    for state in ("received", "failed", "archived", "processed"):
        event_of(site, state)
    run(IntegrationEvent.archive, Selection.matching(IntegrationEvent, {"subject": "archived"}), ROOT, given=ARCHIVED)


def one(model: type[Acted], row: Any) -> Selection:
    """Select one row."""
    return Selection.ticked(model, [row.pk])


def legal_row(verb: Verb) -> Any:
    """Return a row that the verb may move."""
    rows = verb.model._default_manager.annotate(refusal=verb.refusal()).filter(refusal=None)
    row = rows.order_by("pk").first()
    assert row is not None, f"tests/contracts/world.py has no row that {verb!r} may move: add one"
    return row
