"""One correlation id from the request, over the worker, to the far end: on each line of the log."""

import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.test import TestCase

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.integrations.models import Service
from apps.jobs.keeping import Line
from apps.jobs.models import Queue
from apps.jobs.phones import digest
from apps.operations import delivery
from apps.operations.models import PendingOperation
from opsconsole.log_lines import KeptLines
from tests.api import Api
from tests.jobs.lines import Taker
from tests.operations.conftest import hand_in
from tests.simulator_process import Simulator

PATH = "/api/pending-operations"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    taker = Taker()
    handler = KeptLines({"apps": "INFO", "opsconsole": "INFO", "*": "WARNING"}, taker)
    logging.getLogger().addHandler(handler)
    yield taker.taken
    logging.getLogger().removeHandler(handler)
    handler.close()


def handed_in(api: Api, **headers: str) -> Any:
    body = {"operation_type": "http.post", "service": "erp", "payload": {"phone": "+55 11 91234-5678"}}
    with TestCase.captureOnCommitCallbacks(execute=True):
        return api.send(PATH, body, **headers)


def test_one_id_goes_from_the_request_over_the_worker_to_the_far_end(
    ana_api: Api, simulator: Simulator, erp: Service, lines: list[Line]
) -> None:
    answer = handed_in(ana_api, traceparent=PARENT)
    delivery.drain(Queue.objects.get(slug="erp"))
    [call] = simulator.requests(service="erp")
    assert (answer["X-Correlation-ID"], call["headers"]["traceparent"].split("-")[1]) == (TRACE, TRACE)
    told = {line.logger for line in lines if line.trace == TRACE}
    assert told == {"apps.operations.intake", "apps.operations.settling"}


def test_a_request_without_a_trace_gets_one_that_its_operation_keeps(
    ana_api: Api, erp: Service, lines: list[Line]
) -> None:
    answer = handed_in(ana_api)
    operation = PendingOperation.objects.get(pk=answer.json()["id"])
    assert operation.traceparent[3:35] == answer["X-Correlation-ID"]


def test_a_line_carries_what_the_sender_calls_its_request(ana_api: Api, lines: list[Line]) -> None:
    ana_api.send(PATH, {}, **{"X-Request-ID": "shop-7", "X-Correlation-ID": "order-12"})
    ana_api.send(PATH, {})
    told = [line.fields for line in lines if line.logger == "opsconsole.tracing"]
    assert told == [{"code": 422, "request_id": "shop-7", "correlation_id": "order-12"}, {"code": 422}]


def test_lines_of_an_operation_are_found_by_it_and_by_its_phone(
    ana_api: Api, simulator: Simulator, erp: Service, lines: list[Line]
) -> None:
    key = UUID(handed_in(ana_api).json()["id"])
    delivery.drain(Queue.objects.get(slug="erp"))
    its = [line for line in lines if line.object_id == key]
    assert [line.text.split(" in ")[0].partition(" ")[2][:9] for line in its] == ["taken", "completed"]
    assert [digest("1191234-5678") in map(digest, line.phones) for line in its] == [True, True]
    assert "91234" not in str([(line.text, line.fields) for line in its])


def test_what_fails_is_graver_than_what_is_tried_again(
    simulator: Simulator, erp: Service, queue: Queue, lines: list[Line]
) -> None:
    hand_in(erp, queue, max_retries=1)
    hand_in(erp, queue)
    simulator.outage("erp")
    delivery.drain(queue)
    levels = sorted(line.level for line in lines if line.logger == "apps.operations.settling")
    assert (levels[0], levels[-1]) == (logging.WARNING, logging.ERROR)


def test_a_look_that_goes_well_is_no_line_and_one_that_is_refused_is(
    ana_api: Api, erp: Service, lines: list[Line]
) -> None:
    ana_api.get(PATH)
    assert [line for line in lines if line.logger == "opsconsole.tracing"] == []
    ana_api.get(f"{PATH}/nowhere")
    assert [line.level for line in lines if line.logger == "opsconsole.tracing"] == [logging.WARNING]


def test_an_action_is_told_with_who_asked_and_what_moved(company: Any, as_ana: Any, lines: list[Line]) -> None:
    run(PendingOperation.retry, Selection.ticked(PendingOperation, [company.operations["failed"][0].pk]), as_ana)
    [line] = [line for line in lines if line.logger == "apps.actions.running"]
    assert line.text.startswith("retry of operations.pendingoperation by ana (admin) is")
    assert line.kind == "actions.actionrun"
