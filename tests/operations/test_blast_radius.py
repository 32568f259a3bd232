import datetime as dt
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.actions.actors import Actor
from apps.actions.foresight import Foresight
from apps.actions.running import preview, run
from apps.actions.selections import Selection
from apps.actions.verbs import NotPermitted
from apps.deadletters.models import DeadLetter
from apps.integrations.models import CircuitBreaker, Service
from apps.jobs.models import Queue, Tenant
from apps.operations.models import PendingOperation
from tests.api import Api
from tests.cast import ROOT, Company, complete, give_up, matching, ticked

retry = PendingOperation.retry
VERBS = "/admin/operations/pendingoperation/verbs"


@pytest.fixture(autouse=True)
def _credential(monkeypatch: pytest.MonkeyPatch, empty_company: Company) -> None:
    monkeypatch.setenv("PIPERUN_API_TOKEN", "t" * 32)
    Service.objects.filter(slug="piperun").update(
        credentials={"token": "PIPERUN_API_TOKEN"}, rate_per_second=4, burst=4, options={}
    )


def foreseen(rate: float | None = None, **filters: str) -> Foresight:
    return preview(retry, matching(status="failed", **filters), ROOT, rate=rate).foresight


def failed(company: Company, count: int, **columns: Any) -> list[PendingOperation]:
    return give_up(company.operations_of(count, **columns))


def test_the_calls_are_told_by_service_and_type(empty_company: Company) -> None:
    failed(empty_company, 3)
    failed(empty_company, 1, operation_type="note.create")
    assert foreseen().effects == ["4 calls to piperun: 3 deal.create, 1 note.create."]


def test_a_verb_that_sends_nothing_says_so(empty_company: Company) -> None:
    failed(empty_company, 2)
    told = preview(PendingOperation.archive, matching(status="failed"), ROOT).foresight
    assert (told.effects, told.duration) == (["Nothing is sent."], [])


def test_a_look_is_told_as_one(empty_company: Company) -> None:
    rows = failed(empty_company, 2)
    told = preview(PendingOperation.confirm, ticked(*rows), ROOT).foresight
    assert told.effects == ["2 look-ups at piperun; nothing is changed there."]


def test_tenants_are_told_with_their_counts(empty_company: Company) -> None:
    failed(empty_company, 2, tenant=Tenant.objects.create(slug="acme", name="Acme"))
    failed(empty_company, 1)
    assert foreseen().about[0] == "Tenants: 2 acme, 1 without a tenant."


def test_the_age_is_told(empty_company: Company) -> None:
    failed(empty_company, 2)
    PendingOperation.objects.update(created_at="2026-01-31T15:00:00Z")
    (age,) = foreseen().about
    assert re.fullmatch(r"Handed in at .*12:00.*\.", age)


def test_what_was_found_at_the_service_is_told(empty_company: Company) -> None:
    failed(empty_company, 2)
    PendingOperation.objects.update(confirm_found=True)
    assert "2 were found at their service" in foreseen().settled[0]


def test_what_a_newer_operation_has_overtaken_is_told(empty_company: Company) -> None:
    failed(empty_company, 2, operation_type="deal.update", entity_id="7")
    complete(empty_company.operations_of(1, operation_type="deal.update", entity_id="7"))
    assert foreseen().settled[0].startswith("2: a newer operation of the same type for the same entity is completed")


def test_what_waits_for_the_same_entity_is_told(empty_company: Company) -> None:
    failed(empty_company, 1, operation_type="deal.update", entity_id="7")
    empty_company.operations_of(1, operation_type="deal.update", entity_id="7")
    assert "waits or is under way" in foreseen().settled[0]


def test_operations_of_other_entities_overtake_nothing(empty_company: Company) -> None:
    failed(empty_company, 1, operation_type="deal.update", entity_id="7")
    complete(empty_company.operations_of(1, operation_type="deal.update", entity_id="8"))
    complete(empty_company.operations_of(1, operation_type="note.create", entity_id="7"))
    assert foreseen().settled == []


def test_nothing_stands_in_the_way_of_a_service_that_is_well(empty_company: Company) -> None:
    failed(empty_company, 1)
    assert foreseen().in_the_way == []


def test_everything_that_stands_in_the_way_is_told(empty_company: Company) -> None:
    failed(empty_company, 1, tenant=Tenant.objects.create(slug="acme", name="Acme"))
    held = {"reason": "the night of the books"}
    breaker = CircuitBreaker.objects.get(service__slug="piperun")
    run(CircuitBreaker.force_open, Selection.ticked(CircuitBreaker, [breaker.pk]), ROOT, given=held)
    for model, slug in ((Service, "piperun"), (Queue, "crm"), (Tenant, "acme")):
        run(model.pause, Selection.matching(model, {"slug": slug}), ROOT, given=held)
    Service.objects.filter(slug="piperun").update(waits_until=Now() + dt.timedelta(hours=1), waits_because="429")
    told = " ".join(foreseen().in_the_way)
    for words in (
        "breaker of piperun is open",
        "service piperun is paused",
        "queue crm is paused",
        "tenant acme is paused",
        "waits until",
    ):
        assert words in told


def test_a_missing_credential_stands_in_the_way(empty_company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    failed(empty_company, 1)
    monkeypatch.delenv("PIPERUN_API_TOKEN")
    assert "set PIPERUN_API_TOKEN" in foreseen().in_the_way[0]


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (None, "About 3 s: piperun takes 4 calls a second."),
        (100, "About 3 s: piperun takes 4 calls a second."),
        (0.1, "About 2 min, at 0.1 rows a second."),
    ],
)
def test_the_slower_of_run_and_service_says_how_long_it_takes(
    empty_company: Company, rate: float | None, said: str
) -> None:
    failed(empty_company, 12)
    assert foreseen(rate).duration == [said]


def test_what_waits_already_is_reckoned_in(empty_company: Company) -> None:
    failed(empty_company, 4)
    empty_company.operations_of(36)
    assert foreseen().duration == ["About 10 s: piperun takes 4 calls a second. 36 operations wait there already."]


def test_dead_letters_foresee_what_their_sources_do(empty_company: Company) -> None:
    failed(empty_company, 2)
    told = preview(DeadLetter.retry, Selection.matching(DeadLetter, {}), ROOT)
    assert told.effects == ["2 calls to piperun: 2 deal.create."]


def test_a_preview_asks_the_same_number_of_questions_whatever_the_number_of_rows(
    empty_company: Company, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    failed(empty_company, 30, tenant=Tenant.objects.create(slug="acme", name="Acme"), entity_id="7")
    failed(empty_company, 30, service=empty_company.erp, queue=empty_company.books)
    with django_assert_max_num_queries(12):
        foreseen()


def test_the_page_shows_all_of_it(client: Client, ana: User, empty_company: Company) -> None:
    failed(empty_company, 12)
    client.force_login(ana)
    text = words(client.get(f"{VERBS}/retry/?status=failed"))
    for said in ("12 calls to piperun: 12 deal.create.", "Handed in", "About 3 s"):
        assert said in text


def test_another_rate_is_reckoned_without_running_anything(client: Client, ana: User, empty_company: Company) -> None:
    failed(empty_company, 12)
    client.force_login(ana)
    form = {"look": "yes", "pace": "rate", "rate": "0.1"}
    assert "About 2 min, at 0.1 rows a second." in words(client.post(f"{VERBS}/retry/?status=failed", form))
    assert PendingOperation.objects.filter(status="failed").count() == 12


def test_a_rate_that_is_none_is_passed_over_until_it_is_sent(client: Client, ana: User, empty_company: Company) -> None:
    failed(empty_company, 12)
    client.force_login(ana)
    for rate in ("x", "-1", "nan", "1e9", ""):
        form = {"look": "yes", "pace": "rate", "rate": rate}
        assert "About 3 s" in words(client.post(f"{VERBS}/retry/?status=failed", form))


def test_a_dry_run_tells_the_same(ana_api: Api, empty_company: Company) -> None:
    failed(empty_company, 12)
    body = {"filter": {"status": "failed"}, "dry_run": True, "pace": {"rate": 0.1}}
    told = ana_api.send("/api/pending-operations/retry", body).json()
    assert told["effects"] == ["12 calls to piperun: 12 deal.create."]
    assert told["duration"] == ["About 2 min, at 0.1 rows a second."]


def test_whoever_may_not_retry_learns_nothing(as_bia: Actor, empty_company: Company) -> None:

    with pytest.raises(NotPermitted):
        preview(retry, matching(status="failed"), as_bia)


def words(answer: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())
