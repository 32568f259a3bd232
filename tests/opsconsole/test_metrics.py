"""`/metrics`: read by Prometheus's own parser, under the names that runbook 2 looks for, with few labels (S2-9 to S2-11)."""

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError
from django.db.models.functions import Now
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from apps.integrations import breakers, metering, processing
from apps.integrations.models import CircuitBreaker, Service
from apps.jobs import scheduling
from apps.jobs.execution import run_here
from apps.jobs.models import Heartbeat, Queue
from apps.operations import delivery
from opsconsole import metrics
from tests.api import Api
from tests.cast import ROOT, Company
from tests.integrations.events import knock, source, standard_headers, told
from tests.operations.conftest import hand_in, receiver
from tests.simulator_process import Simulator

pytestmark = pytest.mark.django_db(transaction=True)
MONITORING = Path(settings.BASE_DIR) / "docs/monitoring"
Sample = tuple[str, frozenset[tuple[str, str]]]
ONLY_AT_WORK = {"operation_total", "webhook_events_total"}


def read(caller: Api) -> dict[Sample, float]:
    """Return the samples of /metrics by their name and labels."""
    answer = caller.get("/metrics")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = text_string_to_metric_families(answer.content.decode())
    return {(each.name, frozenset(each.labels.items())): each.value for one in families for each in one.samples}


def value(found: dict[Sample, float], metric: str, /, **labels: str) -> float:
    return found.get((metric, frozenset(labels.items())), 0)


@pytest.fixture
def erp(simulator: Simulator) -> Service:
    return receiver(simulator, "shop")


def test_every_sample_has_a_type_and_a_help(bia_api: Api, company: Company) -> None:
    for family in text_string_to_metric_families(bia_api.get("/metrics").content.decode()):
        assert family.type in ("gauge", "counter", "histogram")
        assert family.documentation


def test_rows_are_told_as_they_stand(bia_api: Api, company: Company) -> None:
    found = read(bia_api)
    assert value(found, "opsconsole_operations", status="failed") == 3
    assert value(found, "opsconsole_queue_depth", queue="crm") == 2
    assert value(found, "opsconsole_dead_letters", kind="operations.pendingoperation", status="unresolved") == 3


def test_the_state_of_a_breaker_is_told(bia_api: Api, company: Company) -> None:
    breakers.trip(CircuitBreaker.objects.get(service=company.piperun), "it does not answer", 60)
    found = read(bia_api)
    states = {state: value(found, "opsconsole_breaker", service="piperun", state=state) for state in ("open", "closed")}
    assert states == {"open": 1, "closed": 0}


def test_silence_is_told(bia_api: Api, company: Company) -> None:
    Heartbeat.objects.create(name="tick", interval_seconds=5, beat_at=Now() - dt.timedelta(seconds=60))
    found = read(bia_api)
    assert value(found, "opsconsole_heartbeat_silent", name="tick") == 1
    assert value(found, "opsconsole_heartbeat_age_seconds", name="tick") >= 60
    assert value(found, "opsconsole_check", check="beat", state="error") == 1


def test_requests_are_counted_by_their_route(bia_api: Api, company: Company) -> None:
    labels = {"endpoint": "/api/pending-operations/<id>", "method": "GET"}
    before = read(bia_api)
    bia_api.get(f"/api/pending-operations/{company.operations['failed'][0].pk}")
    after = read(bia_api)
    for name, more in (("http_requests_total", {"status": "200"}), ("http_request_duration_seconds_count", {})):
        assert value(after, name, **labels, **more) - value(before, name, **labels, **more) == 1


def test_calls_are_counted_with_what_became_of_them(
    bia_api: Api, simulator: Simulator, erp: Service, company: Company
) -> None:
    labels = {"integration": "shop", "operation": "http.post"}
    before = read(bia_api)
    simulator.fault("answer", service="shop", status=422, body={"message": "no"}, times=1)
    hand_in(erp, company.books, 3)
    delivery.drain(Queue.objects.get(slug="books"), seconds=1)
    after = read(bia_api)
    for status, count in (("success", 2), ("error", 1)):
        more = {**labels, "status": status}
        assert value(after, "integration_requests_total", **more) - value(
            before, "integration_requests_total", **more
        ) == pytest.approx(count)
        done = {"operation": "http.post", "status": status}
        assert value(after, "operation_total", **done) - value(before, "operation_total", **done) == count
    timed = "integration_request_duration_seconds_count"
    assert value(after, timed, **labels) - value(before, timed, **labels) == 3


def event_counts(caller: Api) -> dict[str, float]:
    found = read(caller)
    words = ("received", "duplicate", "refused", "success", "error")
    return {
        word: sum(
            number
            for (name, labels), number in found.items()
            if name == "webhook_events_total" and {("webhook_type", "site"), ("status", word)} <= labels
        )
        for word in words
    }


def test_events_are_counted_at_the_door_and_by_the_worker(bia_api: Api, company: Company) -> None:
    source()
    before, body = event_counts(bia_api), told()
    for _time in range(2):
        assert knock("site", body, standard_headers(body)).status_code == 200
    assert knock("site", body, {}).status_code == 401
    assert processing.process(seconds=1)
    after = event_counts(bia_api)
    found = {word: after[word] - before[word] for word in after}
    assert found == {"received": 1, "duplicate": 1, "refused": 1, "success": 1, "error": 0}


def test_types_that_senders_make_up_make_no_labels(bia_api: Api, company: Company) -> None:
    site = source()
    for number in range(50):
        metering.count_events(site.slug, [f"made.up.{number}"], "received")
    assert "made.up" not in bia_api.get("/metrics").content.decode()


def test_no_label_holds_an_id_or_a_phone(bia_api: Api, company: Company) -> None:
    bia_api.get(f"/api/pending-operations/{company.operations['failed'][0].pk}")
    labels = {text for _name, labels in read(bia_api) for _label, text in labels}
    assert [text for text in labels if re.search(r"[0-9a-f]{8}-|\d{8}", text)] == []


def test_a_part_that_cannot_be_read_is_left_out_and_named(
    bia_api: Api, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[Metric]:
        raise OperationalError

    monkeypatch.setitem(metrics.PARTS, "work", broken)
    found = read(bia_api)
    assert (value(found, "opsconsole_readable", part="work"), value(found, "opsconsole_readable", part="queues")) == (
        0,
        1,
    )
    assert value(found, "opsconsole_queue_depth", queue="crm") == 2


def test_asking_writes_nothing(bia_api: Api, company: Company) -> None:
    from tests.contracts.test_verbs import checksums

    bia_api.get("/metrics")
    before = checksums()
    bia_api.get("/metrics")
    assert checksums() == before


# What stands ready for Prometheus and Grafana


def names_known(caller: Api) -> set[str]:
    found = {name for name, _labels in read(caller)}
    return found | ONLY_AT_WORK | {"up"}


def expressions(told: Any) -> set[str]:
    """Return every expression of a dashboard."""
    if isinstance(told, dict):
        own = {told["expr"]} if "expr" in told else set()
        return own.union(*map(expressions, told.values()))
    return set[str]().union(*map(expressions, told)) if isinstance(told, list) else set()


def metric_names(expression: str) -> set[str]:
    """Return the metrics of an expression: what stands before its labels, and is no function."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"|by \([^)]*\)|\bby\b", " ", expression)
    return {word for word in re.findall(r"[a-z][a-z_]{4,}(?![a-z_]*\s*\()", bare) if "_" in word or word == "up"}


@pytest.fixture
def at_work(bia_api: Api, simulator: Simulator, erp: Service, company: Company) -> Api:
    hand_in(erp, company.books)
    delivery.drain(Queue.objects.get(slug="books"), seconds=0.5)
    Heartbeat.objects.create(name="tick", interval_seconds=5)
    scheduling.make_missing()
    [run] = scheduling.run_now("analyze", ROOT)
    run_here(run)
    bia_api.get("/health/live")
    return bia_api


def test_the_dashboard_names_only_metrics_that_are_there(at_work: Api) -> None:
    told = expressions(json.loads((MONITORING / "grafana-dashboard.json").read_text()))
    assert len(told) > 10
    named = set[str]().union(*map(metric_names, told))
    assert named - names_known(at_work) == set()


def test_the_alert_rules_name_only_metrics_that_are_there(at_work: Api) -> None:
    import yaml

    told = expressions(yaml.safe_load((MONITORING / "alert-rules.yml").read_text()))
    assert len(told) > 8
    named = set[str]().union(*map(metric_names, told))
    assert named - names_known(at_work) == set()
