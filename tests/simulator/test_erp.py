"""The tenants' ERP: whose data is shown, its lists, and how it misbehaves."""

from typing import Any

import pytest
import requests

from tests.simulator_process import Simulator


def asked(simulator: Simulator, tenant: str, path: str, **words: Any) -> requests.Response:
    token = simulator.rotate_token("millennium", tenant)
    return requests.get(f"{simulator.erp}/{path}", params=words, auth=("sync", token), timeout=10)


def listed(simulator: Simulator, tenant: str, path: str = "clientes/lista", **words: Any) -> list[Any]:
    answer = asked(simulator, tenant, path, **words)
    assert answer.status_code == 200, answer.text
    answer.encoding = "utf-8-sig"
    return list(answer.json()["value"])


def day_of(simulator: Simulator, day: str, **words: Any) -> list[str]:
    period = {"data_emissao_inicial": day, "data_emissao_final": day, **words}
    return [row["cod_pedidov"] for row in listed(simulator, "acme", "pedido_venda/listafaturamentos", **period)]


def test_each_tenant_sees_its_own_data(simulator: Simulator) -> None:
    simulator.erp_of("acme", customers=3)
    simulator.erp_of("globex", customers=5)
    assert [len(listed(simulator, tenant)) for tenant in ("acme", "globex")] == [3, 5]
    assert listed(simulator, "acme")[0]["e_mail"] == "cliente1@acme.example"


def test_a_revoked_user_is_refused(simulator: Simulator) -> None:
    dead = simulator.rotate_token("millennium", "acme")
    simulator.rotate_token("millennium", "acme")
    assert requests.get(f"{simulator.erp}/clientes/lista", auth=("sync", dead), timeout=10).status_code == 401
    assert requests.get(f"{simulator.erp}/clientes/lista", timeout=10).status_code == 401


def test_a_hundred_thousand_customers_are_listed_behind_any_number(simulator: Simulator) -> None:
    simulator.erp_of("acme", customers=100_000)
    rows = listed(simulator, "acme", "clientes/lista", trans_id=99_998, **{"$top": 1000})
    assert [row["cliente"] for row in rows] == [99_999, 100_000]


def test_what_changes_comes_again_at_the_end(simulator: Simulator) -> None:
    simulator.erp_of("acme", customers=3)
    before = listed(simulator, "acme")[0]
    simulator.erp_of("acme", touch={"customers": [1, 4]})
    rows = listed(simulator, "acme")
    assert [row["cliente"] for row in rows] == [2, 3, 1, 4]
    assert rows[2]["cidade"] != before["cidade"]


def test_an_unknown_parameter_is_400(simulator: Simulator) -> None:
    answer = asked(simulator, "acme", "clientes/lista", orderby="x")
    assert (answer.status_code, "Parâmetro desconhecido" in answer.text) == (400, True)


def test_orders_of_a_day_shift_when_one_comes_in(simulator: Simulator) -> None:
    simulator.erp_of("acme", orders=10, orders_per_day=5, last_day="2026-01-20", drift=1)
    assert day_of(simulator, "2026-01-19") == ["P5", "P4", "P3", "P2", "P1"]
    assert day_of(simulator, "2026-01-19", **{"$skip": 1, "$top": 2}) == ["P5", "P4"]
    assert day_of(simulator, "2026-01-19", **{"$top": 1}) == ["P11"]


def test_a_period_of_two_days_is_refused(simulator: Simulator) -> None:
    words = {"data_emissao_inicial": "2026-01-19", "data_emissao_final": "2026-01-20"}
    assert asked(simulator, "acme", "pedido_venda/listafaturamentos", **words).status_code == 400


@pytest.mark.parametrize(
    ("listed_as", "path", "field"),
    [("customers", "clientes/lista", "nome"), ("products", "produtos/listavitrine", "descricao1")],
)
def test_a_poisoned_record_has_no_name_until_it_is_mended(
    simulator: Simulator, listed_as: str, path: str, field: str
) -> None:
    simulator.erp_of("acme", poisoned={listed_as: [2]})
    assert listed(simulator, "acme", path)[1][field] is None
    simulator.erp_of("acme", poisoned={})
    assert listed(simulator, "acme", path)[1][field]


def test_one_record_is_found_by_its_code(simulator: Simulator) -> None:
    simulator.erp_of("acme", customers=9, orders=9)
    assert [row["cliente"] for row in listed(simulator, "acme", cliente=7)] == [7]
    assert [row["cod_pedidov"] for row in listed(simulator, "acme", "pedido_venda/consulta", cod_pedidov="P7")] == [
        "P7"
    ]
    assert listed(simulator, "acme", cliente="nobody") == []


def test_it_may_begin_with_a_byte_order_mark(simulator: Simulator) -> None:
    simulator.erp_of("acme", bom=True)
    assert asked(simulator, "acme", "clientes/lista").content.startswith(b"\xef\xbb\xbf")


def test_what_a_tenant_has_survives_a_kill(simulator_process: Simulator, simulator: Simulator) -> None:
    simulator.erp_of("acme", customers=3, touch={"customers": [1]}, poisoned={"customers": [2]})
    simulator_process.kill()
    simulator_process.start()
    rows = listed(simulator, "acme")
    assert [(row["cliente"], row["nome"] is None) for row in rows] == [(2, True), (3, False), (1, False)]


def test_the_companys_own_systems_tell_what_changed(simulator: Simulator) -> None:
    simulator.changes_of("cuidadores", count=3, touch=[1])
    url = f"{simulator.internal('cuidadores')}/api/changes"
    rows = requests.get(url, params={"after": 1, "limit": 2}, timeout=10).json()["data"]
    assert [row["id"] for row in rows] == ["carer-2", "carer-3"]
    assert requests.get(f"{url}/carer-1", timeout=10).json()["data"]["version"] == 1
    assert [requests.get(f"{url}/{id}", timeout=10).status_code for id in ("carer-9", "x")] == [404, 404]
    assert requests.get(url, params={"after": "x"}, timeout=10).status_code == 422
