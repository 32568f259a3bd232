from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from apps.actions.models import ActionRun
from apps.integrations.models import IdempotencyRecord
from apps.operations.models import PendingOperation
from tests.api import Api, key_of, problem
from tests.cast import Company

pytestmark = pytest.mark.django_db
PATH = "/api/pending-operations"
WORK = {"operation_type": "http.post", "payload": {"a": 1}}
KEY = {"Idempotency-Key": '"order-1"'}


def test_the_same_request_again_is_done_once_and_answered_with_the_same_bytes(
    ana_api: Api, empty_company: Company
) -> None:
    first, second = (ana_api.send(PATH, WORK, **KEY) for _ in range(2))
    assert (first.content, first["Location"], first.status_code) == (second.content, second["Location"], 202)
    assert PendingOperation.objects.count() == 1


def test_a_bare_key_is_the_quoted_one(ana_api: Api, empty_company: Company) -> None:
    ana_api.send(PATH, WORK, **KEY)
    ana_api.send(PATH, WORK, **{"Idempotency-Key": "order-1"})
    assert PendingOperation.objects.count() == 1


def test_the_same_key_with_another_request_is_refused(ana_api: Api, empty_company: Company) -> None:
    ana_api.send(PATH, WORK, **KEY)
    found = problem(ana_api.send(PATH, WORK | {"payload": {"a": 2}}, **KEY), 422)
    assert found["code"] == "key_reused"


def test_another_caller_may_use_the_same_key(ana_api: Api, empty_company: Company) -> None:
    ana_api.send(PATH, WORK, **KEY)
    Api(key_of("erp", "Operator")).send(PATH, WORK, **KEY)
    assert PendingOperation.objects.count() == 2


def test_a_refused_request_may_be_mended_and_sent_again_with_its_key(ana_api: Api, empty_company: Company) -> None:
    problem(ana_api.send(PATH, WORK | {"queue": "bokos"}, **KEY), 422)
    assert ana_api.send(PATH, WORK | {"queue": "books"}, **KEY).status_code == 202


def test_a_verb_takes_a_key_too(ana_api: Api, company: Company) -> None:
    path = f"{PATH}/{company.operations['failed'][0].pk}/retry"
    first, second = (ana_api.send(path, **KEY) for _ in range(2))
    assert first.content == second.content
    assert ActionRun.objects.filter(verb="retry").count() == 1


@pytest.mark.parametrize("key", ["", '""', "a b", "é", "x" * 201])
def test_a_key_that_is_none_is_refused(ana_api: Api, empty_company: Company, key: str) -> None:
    problem(ana_api.send(PATH, WORK, **{"Idempotency-Key": key}), 422)


def test_a_key_without_an_api_key_opens_nothing(empty_company: Company) -> None:
    problem(Api().send(PATH, WORK, **KEY), 401)
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_many_at_once_with_one_key_make_one_row_and_get_the_same_bytes(ana_api: Api, empty_company: Company) -> None:
    def send(number: int) -> tuple[int, bytes]:
        answer = Api(ana_api.key).send(PATH, WORK, **{"Idempotency-Key": f"order-{number % 10}"})
        connection.close()
        return answer.status_code, answer.content

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(send, range(80)))
    assert {status for status, _body in answers} == {202}
    assert len(answers) == PendingOperation.objects.count() == 10


@pytest.mark.django_db(transaction=True)
def test_while_the_first_is_worked_on_the_second_is_told_to_come_again(ana_api: Api, empty_company: Company) -> None:
    def send() -> tuple[int, str | None]:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
        answer = Api(ana_api.key).send(PATH, WORK, **KEY)
        connection.close()
        return answer.status_code, answer.headers.get("Retry-After")

    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        IdempotencyRecord.objects.create(caller="ana", key="order-1", request_digest="")
        assert pool.submit(send).result() == (409, "1")
