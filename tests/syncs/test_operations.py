"""What changed becomes operations where an endpoint says so: each change once, under a key of its own."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.integrations.models import Endpoint, Service
from apps.jobs.models import Job
from apps.operations.models import PendingOperation
from apps.syncs.models import Customer, PassedOn, RejectedRecord, Sync
from tests.cast import ROOT
from tests.simulator_process import Simulator
from tests.syncs.conftest import cursor_of, run_of, service_of

PERSON = {"name": {"from": "data.name"}, "city": {"from": "data.city"}}
Held = Callable[..., None]


@pytest.fixture
def crm(db: None, simulator: Simulator) -> Service:
    return service_of(simulator, "piperun", "piperun", simulator.piperun)


def endpoint_of(service: Service, source: str = "erp-sync", **columns: Any) -> Endpoint:
    told = {"slug": "customers-to-crm", "event_type": "customer.*", "operation_type": "person.create"}
    fields = columns.pop("fields", PERSON)
    endpoint = Endpoint.objects.create(**{**told, "name": "x", "service": service, "source": source, **columns})
    endpoint.mapped_by(fields, "ana")
    return endpoint


@pytest.fixture
def few(acme: Sync, small: Held) -> Sync:
    small(customers=3, products=0, orders=0)
    return acme


def test_a_new_customer_becomes_an_operation_of_its_tenant(few: Sync, crm: Service) -> None:
    endpoint = endpoint_of(crm)
    assert run_of(few).counts["operations"] == 3
    operation = PendingOperation.objects.get(entity_id="2")
    assert (operation.service, operation.tenant, operation.operation_type) == (crm, few.tenant, "person.create")
    assert operation.payload["name"] == Customer.objects.get(code="2").name
    assert operation.mapping_version == endpoint.mapping


def test_what_did_not_change_becomes_nothing(few: Sync, crm: Service) -> None:
    endpoint_of(crm)
    run_of(few)
    few.cursors.update(watermark={})
    assert "operations" not in run_of(few).counts
    assert PendingOperation.objects.count() == 3


def test_each_change_is_an_operation_of_its_own_even_back_to_what_it_was(few: Sync, crm: Service) -> None:
    endpoint_of(crm)
    run_of(few)
    Customer.objects.filter(code="1").update(digest="another")
    few.cursors.update(watermark={})
    run_of(few)
    assert PendingOperation.objects.filter(entity_id="1").count() == 2


def test_operations_stand_in_the_order_of_time(few: Sync, crm: Service) -> None:
    endpoint_of(crm)
    run_of(few)
    queue = PendingOperation.objects.all()[0].queue
    later = PendingOperation.objects.create(service=crm, queue=queue, operation_type="note.create", payload={})
    assert PendingOperation.objects.order_by("-pk").first() == later


def test_an_endpoint_may_want_only_what_is_new(few: Sync, crm: Service, simulator: Simulator) -> None:
    endpoint_of(crm, event_type="customer.created")
    run_of(few)
    simulator.erp_of("acme", touch={"customers": [1]})
    assert run_of(few).counts["updated"] == 1
    assert PendingOperation.objects.count() == 3


def test_a_record_that_no_mapping_takes_is_set_aside_and_not_stored(few: Sync, crm: Service) -> None:
    endpoint_of(crm, condition="data.id == '2'", fields={"name": {"from": "data.nothing"}})
    run = run_of(few)
    assert (run.status, run.counts["rejected"]) == ("succeeded", 1)
    assert RejectedRecord.objects.get().error_type == "mapping"
    assert sorted(Customer.objects.values_list("code", flat=True)) == ["1", "3"]


def test_a_mapping_that_takes_nothing_stops_the_run_instead_of_flooding_the_inbox(acme: Sync, crm: Service) -> None:
    endpoint_of(crm, fields={"name": {"from": "data.nothing"}})
    run = run_of(acme)
    assert (run.status, run.failure_class) == ("failed", "config")
    assert "50 of 50 records" in run.last_error
    assert (RejectedRecord.objects.count(), cursor_of(acme).position) == (0, None)


def test_a_paused_endpoint_holds_the_cursor_so_that_nothing_is_lost(few: Sync, crm: Service) -> None:
    endpoint = endpoint_of(crm)
    run(Endpoint.pause, Selection.ticked(Endpoint, [endpoint.pk]), ROOT, given={"reason": "new fields"})
    held = run_of(few)
    assert (held.status, Customer.objects.count()) == ("failed", 0)
    assert "new fields" in held.last_error
    run(Endpoint.resume, Selection.ticked(Endpoint, [endpoint.pk]), ROOT)
    run_of(few)
    assert PendingOperation.objects.count() == 3


def test_what_changed_in_one_of_our_systems_is_passed_on_once(crm: Service, simulator: Simulator) -> None:
    simulator.changes_of("cuidadores", count=30)
    options = {"changes_path": "api/changes", "changes_size": 20}
    carers = service_of(simulator, "cuidadores", "http", simulator.internal("cuidadores"), options=options)
    sync = Sync.objects.create(job=Job.objects.get(slug="sync-cuidadores-crm"), service=carers)
    fields = {"name": {"from": "data.name"}, "external_code": {"from": "data.id"}}
    endpoint_of(crm, "sync-cuidadores-crm", event_type="change.*", fields=fields)
    assert run_of(sync).counts == {"read": 30, "created": 30, "operations": 30}
    simulator.changes_of("cuidadores", touch=[4])
    again = run_of(sync)
    assert (again.counts["updated"], again.counts["operations"], PassedOn.objects.count()) == (1, 1, 30)
    assert PendingOperation.objects.filter(entity_id="carer-4").count() == 2


def test_deals_of_the_crm_are_passed_on(simulator: Simulator, db: None) -> None:
    from tests.integrations.events import keep_secret

    token = keep_secret("CRM_TOKEN", simulator.token())
    crm = service_of(simulator, "piperun", "piperun", simulator.piperun, credentials={"token": token})
    visits = service_of(simulator, "operacao", "http", simulator.internal("operacao"), options={"path": "api/events"})
    sync = Sync.objects.create(job=Job.objects.get(slug="sync-crm-operacao"), service=crm)
    endpoint_of(
        visits,
        "sync-crm-operacao",
        event_type="deal.*",
        operation_type="http.post",
        fields={"deal": {"from": "data.id"}},
    )
    with simulator.session.post(
        f"{simulator.piperun}/deals",
        json={"title": "Line X", "pipeline_id": 1, "stage_id": 10},
        headers={"token": simulator.token()},
        timeout=10,
    ) as made:
        assert made.ok
    assert run_of(sync).counts == {"read": 1, "created": 1, "operations": 1}
    assert run_of(sync).counts == {"read": 1, "unchanged": 1}
    assert PendingOperation.objects.get().payload == {"deal": 1}
