"""The ERP: dates and errors of its own, pages that shift, records that cannot be read."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors import CONNECTORS
from apps.integrations.connectors.erp import moment
from apps.integrations.connectors.shape import Site
from apps.integrations.outcome import Outcome, Page
from tests.contracts.connectors import NOW, answer, play

READINGS = CONNECTORS["erp"].readings
SITE = Site("http://erp.example.com/api/millenium_eco", {"user": "sync", "password": "x"}, {"page_size": 3})


def customer(number: int, **fields: Any) -> dict[str, Any]:
    return {"cliente": number, "nome": f"Customer {number}", "trans_id": number, **fields}


def paid(code: str, **fields: Any) -> dict[str, Any]:
    told = {"cod_pedidov": code, "data_emissao": "/Date(1767700000000-180)/", "total": 10, "itens": []}
    return told | fields


def read(name: str, position: dict[str, Any], rows: list[Any]) -> Outcome:
    return play(READINGS[name].page(SITE, position), [answer(200, {"value": rows})])[0]


def page(name: str, position: dict[str, Any], rows: list[Any]) -> Page:
    found = read(name, position, rows).page
    assert found
    return found


def test_a_customer_is_read_in_our_words() -> None:
    told = customer(7, e_mail=" ana@example.com ", aniversario="/Date(631152000000-180)/", cidade="Recife", estado="PE")
    [record] = page("customer", {"after": 0}, [told]).records
    assert (record.id, record.revision, dict(record.errors)) == ("7", 7, {})
    assert record.fields["email"] == "ana@example.com"
    assert (record.fields["born_on"], record.fields["city"]) == ("1989-12-31", "Recife")


def test_a_full_page_leads_on_behind_its_highest_number() -> None:
    found = page("customer", {"after": 0}, [customer(1), customer(2), customer(9)])
    assert found.next == {"after": 9}


def test_a_short_page_is_the_last_and_leaves_the_watermark() -> None:
    found = page("customer", {"after": 9}, [customer(10)])
    assert (found.next, found.watermark) == (None, {"after": 10})
    assert page("customer", {"after": 10}, []).watermark == {"after": 10}


def test_the_next_pass_begins_a_little_before_the_watermark() -> None:
    assert READINGS["customer"].begin({"after": 250}, {"overlap": 100}, NOW) == {"after": 150}
    assert READINGS["customer"].begin({}, {}, NOW) == {"after": 0}


@pytest.mark.parametrize("rows", [[customer(5), customer(4), customer(6)], [customer(1), customer(1), customer(1)]])
def test_a_list_that_is_not_in_its_order_is_refused(rows: list[Any]) -> None:
    assert read("customer", {"after": 1}, rows).failure_class == FailureClass.CONFIG


@pytest.mark.parametrize(
    ("told", "field"),
    [
        (customer(1, nome=None), "nome"),
        (customer(1, aniversario="ontem"), "aniversario"),
        (customer(1, aniversario=f"/Date({10**15 - 1})/"), "aniversario"),
        ({"nome": "Nobody", "trans_id": 1}, "cliente"),
        ("no record at all", ""),
    ],
)
def test_a_record_that_cannot_be_read_says_why_and_stops_no_other(told: Any, field: str) -> None:
    bad, good = page("customer", {"after": 0}, [told, customer(2)]).records
    assert list(bad.errors) == [field]
    assert not good.errors


def test_orders_are_asked_for_day_by_day() -> None:
    begun = READINGS["order"].begin({"day": "2026-01-19"}, {"overlap_days": 1}, NOW)
    assert begun == {"day": "2026-01-18", "until": "2026-01-20"}
    _outcome, [asked] = play(READINGS["order"].page(SITE, begun), [answer(200, {"value": []})])
    words = parse_qs(urlsplit(asked.url).query)
    assert (words["data_emissao_inicial"], words["data_emissao_final"]) == (["2026-01-18"], ["2026-01-18"])
    assert (words["lancamentos_pedido"], words["$skip"], words["$top"]) == (["true"], ["0"], ["3"])


def test_after_a_day_comes_the_next_and_after_the_last_the_watermark() -> None:
    position = {"day": "2026-01-19", "until": "2026-01-20"}
    assert page("order", position, [paid("P1")]).next == {"day": "2026-01-20", "until": "2026-01-20"}
    last = page("order", {**position, "day": "2026-01-20"}, [])
    assert (last.next, last.watermark) == (None, {"day": "2026-01-20"})


def test_a_further_page_of_a_day_begins_with_the_last_record_of_the_one_before() -> None:
    position = {"day": "2026-01-20", "until": "2026-01-20"}
    first = page("order", position, [paid("P1"), paid("P2"), paid("P3")])
    assert first.next == {**position, "skip": 3, "anchor": "P3"}
    _outcome, [asked] = play(READINGS["order"].page(SITE, first.next), [answer(200, {"value": [paid("P3")]})])
    assert parse_qs(urlsplit(asked.url).query)["$skip"] == ["2"]
    second = page("order", dict(first.next), [paid("P3"), paid("P4")])
    assert [record.id for record in second.records] == ["P4"]


def test_a_day_that_has_shifted_is_begun_anew_and_not_for_ever() -> None:
    position = {"day": "2026-01-20", "until": "2026-01-20", "skip": 3, "anchor": "P3"}
    anew = page("order", position, [paid("P2"), paid("P3")])
    assert (list(anew.records), anew.next) == ([], {"day": "2026-01-20", "until": "2026-01-20", "restarts": 1})
    again = read("order", {**position, "restarts": 5}, [paid("P2"), paid("P3")])
    assert again.failure_class == FailureClass.TRANSIENT


@pytest.mark.parametrize(
    ("status", "body", "failure_class"),
    [
        (200, {"error": {"message": {"value": "Usuário ou senha inválidos"}}}, FailureClass.CREDENTIAL),
        (200, {"error": {"message": "Tempo esgotado, tente novamente"}}, FailureClass.TRANSIENT),
        (200, {"error": "boom"}, FailureClass.UNKNOWN),
        (400, {"error": {"message": {"value": "Parâmetro desconhecido: x"}}}, FailureClass.CONFIG),
        (500, {"error": {"message": {"value": "falhou"}}}, FailureClass.TRANSIENT),
    ],
)
def test_an_error_in_the_body_comes_before_the_status(status: int, body: Any, failure_class: FailureClass) -> None:
    outcome, _asked = play(READINGS["product"].page(SITE, {"after": 0}), [answer(status, body)])
    assert outcome.failure_class == failure_class
    assert outcome.page is None


def test_a_body_with_a_byte_order_mark_is_read() -> None:
    response = answer(200, "\ufeff" + '{"value": []}')
    assert play(READINGS["customer"].page(SITE, {"after": 4}), [response])[0].page


def test_one_record_is_asked_for_by_its_code() -> None:
    outcome, [asked] = play(READINGS["order"].again(SITE, "P7"), [answer(200, {"value": [paid("P7")]})])
    assert asked.url.startswith("http://erp.example.com/api/millenium_eco/pedido_venda/consulta?")
    assert outcome.page
    assert [record.id for record in outcome.page.records] == ["P7"]


def test_a_record_that_is_gone_is_an_empty_page() -> None:
    outcome, _asked = play(READINGS["customer"].again(SITE, "7"), [answer(200, {"value": [customer(8)]})])
    assert outcome.page
    assert list(outcome.page.records) == []


def test_from_a_date_on_numbers_begin_at_the_lowest_known_since() -> None:
    since = READINGS["customer"].since
    assert since(NOW, 41, {}, NOW) == {"after": 40}
    assert since(NOW, None, {}, NOW) is None
    assert READINGS["order"].since(datetime(2026, 1, 2, 1, tzinfo=UTC), None, {}, NOW) == {
        "day": "2026-01-01",
        "until": "2026-01-20",
    }


def test_a_date_carries_its_zone_in_minutes() -> None:
    found = moment("/Date(1767700000000-180)/")
    assert isinstance(found, datetime)
    assert found.isoformat() == "2026-01-06T08:46:40-03:00"


@given(st.text(max_size=40) | st.from_regex(r"/Date\(-?\d{1,16}([+-]\d{1,5})?\)/", fullmatch=True) | st.integers())
def test_whatever_stands_for_a_date_is_read_or_refused(told: object) -> None:
    [record] = page("customer", {"after": 0}, [customer(1, data_cadastro=told)]).records
    assert bool(record.errors) != bool(record.fields)
