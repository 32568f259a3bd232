import datetime as dt
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.actions.running import database_now
from apps.deadletters.models import DeadLetter
from apps.integrations.models import EventSource, IntegrationEvent, Service
from apps.operations.models import PendingOperation
from opsconsole.dashboard import listed
from tests.api import Api, key_of
from tests.cast import Company, complete

PAGE = "/admin/dashboard/"
YESTERDAY = Now() - dt.timedelta(days=1)


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


def numbers(told: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Every number of the page that leads somewhere."""
    yield from ((tile["value"], tile["url"]) for tiles in told["tiles"] for tile in tiles if tile.get("url"))
    for table in told["tables"]:
        yield from ((cell["count"], cell["url"]) for row in table["rows"] for cell in row["cells"] if "url" in cell)


@pytest.fixture
def events(db: None) -> list[IntegrationEvent]:
    """A day of two sources: one type fails more than it succeeds; some are of yesterday, waiting, or archived."""
    site, crm = (EventSource.objects.create(slug=slug, name=slug) for slug in ("site", "crm"))
    told: list[tuple[EventSource, str, dict[str, Any]]] = [
        *[(site, "lead.created", {"status": "processed"})] * 3,
        (site, "lead.created", {"status": "failed"}),
        *[(crm, "deal.won", {"status": "failed"})] * 2,
        (crm, "deal.won", {"status": "processed"}),
        (crm, "deal.won", {"status": "failed", "archived_at": Now()}),
        (crm, "deal.lost", {"status": "received", "attempts": 2}),
        (crm, "deal.lost", {"status": "processing"}),
        (site, "lead.created", {"status": "processed", "received_at": YESTERDAY}),
        (site, "lead.created", {"status": "received", "received_at": YESTERDAY}),
    ]
    return IntegrationEvent.objects.bulk_create(
        IntegrationEvent(source=source, event_id=str(number), event_type=kind, body=b"{}", proof="signed", **columns)
        for number, (source, kind, columns) in enumerate(told)
    )


def test_the_day_tells_events_by_type_and_by_source(bia_api: Api, events: list[IntegrationEvent]) -> None:
    found = bia_api.get("/dashboard").json()["events"]
    assert (found["pending"], found["today"]) == (3, {"total": 9, "processed": 4, "failed": 3})
    assert (found["error_rate"], found["success_rate"]) == (42.86, 57.14)
    assert found["by_type"]["deal.won"] == {"total": 3, "processed": 1, "failed": 2, "error_rate": 66.67}
    assert found["by_source"]["site"] == {"total": 4, "processed": 3, "failed": 1, "error_rate": 25.0}


def test_the_type_that_fails_most_comes_first(bia_api: Api, events: list[IntegrationEvent]) -> None:
    found = bia_api.get("/dashboard").json()["events"]
    assert list(found["by_type"]) == ["deal.won", "lead.created", "deal.lost"]
    assert list(found["by_source"]) == ["crm", "site"]


def test_status_tells_what_waits_and_today_s(bia_api: Api, events: list[IntegrationEvent]) -> None:
    found = bia_api.get("/status").json()
    assert found["events"] == {"pending": 3, "today_processed": 4, "today_failed": 3}
    assert found["retry_queue"] == {"total": 1, "ready": 1}


def test_each_number_of_events_leads_to_exactly_those(page: Client, events: list[IntegrationEvent]) -> None:
    found = [(count, url) for count, url in numbers(page.get(PAGE).context["dashboard"]) if "integrationevent" in url]
    assert len(found) == 5 + 3 * 5
    assert [(count, url) for count, url in found if page.get(url).context["cl"].result_count != count] == []


def test_each_number_leads_to_exactly_the_rows_that_it_counts(page: Client, company: Company) -> None:
    complete(company.operations_of(3, service=company.erp))
    PendingOperation.objects.filter(pk=company.operations["completed"][0].pk).update(completed_at=YESTERDAY)
    PendingOperation.objects.filter(pk=company.operations["failed"][0].pk).update(failed_at=YESTERDAY)
    PendingOperation.objects.filter(pk=company.operations["pending"][0].pk).update(attempts=2)
    found = list(numbers(page.get(PAGE).context["dashboard"]))
    assert len(found) >= 9
    assert [(count, url) for count, url in found if page.get(url).context["cl"].result_count != count] == []


def test_today_begins_at_midnight_in_sao_paulo(page: Client, db: None) -> None:
    midnight = page.get(PAGE).context["dashboard"]["midnight"]
    here = database_now().astimezone(ZoneInfo("America/Sao_Paulo"))
    assert (midnight.date(), midnight.hour, midnight.utcoffset()) == (here.date(), 0, dt.timedelta(hours=-3))


def test_the_day_counts_what_arrived_and_what_was_given_up(bia_api: Api, company: Company) -> None:
    found = bia_api.get("/dashboard").json()["deliveries"]
    assert found["today"] == {"total": 5, "sent": 2, "failed": 3, "error_rate": 60.0}
    assert found["by_endpoint"] == {"piperun": found["today"]}


def test_a_day_on_which_nothing_happened_has_no_error_rate(bia_api: Api, empty_company: Company) -> None:
    assert bia_api.get("/dashboard").json()["deliveries"]["today"]["error_rate"] is None


def test_the_retry_queue_is_what_was_tried_and_waits(bia_api: Api, company: Company) -> None:
    later = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
    company.operation(attempts=1, due_at=later)
    company.operation(attempts=3, due_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    found = bia_api.get("/dashboard").json()["queues"]["retry_queue"]
    assert (found["total"], found["ready"], found["oldest"]) == (2, 1, "2020-01-01T00:00:00Z")


def test_dead_letters_count_while_they_wait(bia_api: Api, company: Company) -> None:
    DeadLetter.objects.filter(source_id=company.operations["failed"][0].pk).update(
        opened_at=Now() - dt.timedelta(days=3)
    )
    found = bia_api.get("/status").json()["dead_letter"]
    assert found == {"total": 3, "last_24h": 2, "last_7d": 3, "by_type": {"deal.create": 3}}


def test_what_is_not_kept_yet_is_null_and_not_zero(bia_api: Api, company: Company) -> None:
    dashboard = bia_api.get("/dashboard").json()
    assert (dashboard["alerts"], dashboard["health"]["critical_alerts"]) == (None, None)


def test_what_a_key_may_not_see_is_null(company: Company) -> None:
    group = Group.objects.create(name="Only operations")
    group.permissions.add(Permission.objects.get(codename="view_pendingoperation"))
    assert Api(key_of("other", group.name)).get("/dashboard").json()["events"]["by_type"] is None
    found = Api(key_of("only", group.name)).get("/status").json()
    assert (found["dead_letter"], found["circuit_breakers"], found["whatsapp"]) == (None, None, None)
    assert found["retry_queue"] == {"total": 0, "ready": 0}


@pytest.mark.parametrize("path", [PAGE, "/admin/"])
def test_who_may_not_see_operations_sees_no_number(client: Client, caio: User, company: Company, path: str) -> None:
    client.force_login(caio)
    assert client.get(path).context.get("dashboard") is None


def test_the_moving_part_is_asked_for_alone(page: Client, company: Company) -> None:
    text = page.get(PAGE, headers={"HX-Request": "true", "HX-Target": "dashboard-live"}).content.decode()
    assert 'id="dashboard-live"' in text
    assert "<html" not in text


@pytest.mark.parametrize("path", ["/status", "/dashboard", PAGE])
def test_the_number_of_queries_does_not_grow(ana_api: Api, page: Client, company: Company, path: str) -> None:
    client: Client = page if path == PAGE else ana_api
    client.get(path)
    with CaptureQueriesContext(connection) as few:
        client.get(path)
    Service.objects.bulk_create(
        Service(
            slug=f"s{number}", name="more", connector="http", base_url="http://x.example.com", aliases=[f"t{number}"]
        )
        for number in range(20)
    )
    complete(company.operations_of(20))
    company.failed(20, last_error="another cause")
    with CaptureQueriesContext(connection) as many:
        client.get(path)
    assert len(many) == len(few) <= 32


def test_a_filter_of_the_dashboard_is_one_of_the_api_too(bia_api: Api, company: Company) -> None:
    words = listed("admin:operations_pendingoperation_changelist", status="completed", completed_since="2020-01-01")
    assert len(bia_api.get(f"/api/pending-operations?{words.split('?')[1]}").json()["items"]) == 2


def test_an_attempts_filter_that_is_no_number_is_refused(bia_api: Api) -> None:
    assert bia_api.get("/api/pending-operations?attempts=many").status_code == 400
