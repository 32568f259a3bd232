"""Whatever is sent to whatever call: an answer below 500, and one that the documentation names (S20).

Schemathesis makes the requests out of the OpenAPI, right ones and wrong ones, and follows its links from call to call.
`make fuzz` is the full form: more than 10,000 requests.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection, transaction
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok

from opsconsole.api import api
from tests.api import key_of
from tests.cast import Company
from tests.contracts.world import populate

pytestmark = pytest.mark.django_db
FULL = os.environ.get("FUZZ") == "full"
EACH, STORIES, STEPS = (60, 200, 10) if FULL else (3, 15, 6)
"""Requests of each call and kind; stories of calls that follow one another, and how long one is."""
SCHEMA = schemathesis.openapi.from_dict(api.get_openapi_schema(path_prefix="/api/"))
SCHEMA.app = get_wsgi_application()  # ours would give signs of life from a thread
CALLS = [found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)]
PATHS = frozenset(call.path for call in CALLS)
HELD = settings(
    deadline=None,
    database=None,
    derandomize=not FULL,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
BEYOND_A_SCHEMA: Any = [CHECKS.get_one("positive_data_acceptance")]
"""What a schema cannot say is refused, too, and documented: a word of a filter, ids beside a filter, a type's own payload."""

ALL_IS_TEXT: Any = [CHECKS.get_one("negative_data_rejection")]
"""In an address all is text: a list of one word, wrong by its type, arrives as that word, which is right."""


@pytest.fixture
def key(company: Company) -> Iterator[dict[str, str]]:
    """Who asks: a supervisor, on the connection of the test, which Django would otherwise close around each request."""
    populate(company)
    with connection.cursor() as cursor:  # making a request may take longer than a transaction may be idle
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield {"X-API-Key": key_of("ana", "Supervisor")}
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def beyond(case: Case[Any]) -> Any:
    """What is not checked of a call. Health that finds no worker, as here, says so with a 503, and documents it."""
    sick: Any = [CHECKS.get_one("not_a_server_error")] if case.path.endswith("/health/detailed") else []
    return BEYOND_A_SCHEMA + sick


def checking(key: dict[str, str]) -> Callable[[Case[Any]], Any]:
    def check(case: Case[Any]) -> None:
        assume(case.path == case.formatted_path or case.formatted_path not in PATHS)  # `status` as an id: another call
        case.call_and_validate(
            headers=key, excluded_checks=beyond(case) + (ALL_IS_TEXT if case.method == "GET" else [])
        )

    return check


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_call_answers_as_it_is_documented(mode: GenerationMode, key: dict[str, str]) -> None:
    for call in CALLS:
        held = settings(HELD, max_examples=EACH)
        held(given(case=call.as_strategy(generation_mode=mode))(checking(key)))()


def test_calls_that_follow_one_another_answer_as_they_are_documented(key: dict[str, str]) -> None:
    class Story(SCHEMA.as_state_machine()):  # type: ignore[misc] # made from the documentation
        def setup(self) -> None:  # each story begins with the same company, so that it can be told again
            self.begun = transaction.savepoint()

        def teardown(self) -> None:
            transaction.savepoint_rollback(self.begun)

        def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:
            return {"headers": key}

        def validate_response(self, response: Any, case: Case[Any], **how: Any) -> None:
            case.validate_response(
                response, excluded_checks=beyond(case), headers=key, transport_kwargs={"headers": key}
            )

    Story.run(settings=settings(HELD, max_examples=STORIES, stateful_step_count=STEPS))


def test_every_call_is_among_them_and_lists_lead_to_their_rows() -> None:
    assert SCHEMA.statistic.transitions.total > 0
    told = {(method.upper(), path) for path, found in SCHEMA.raw_schema["paths"].items() for method in found}
    assert {(call.method.upper(), call.full_path) for call in CALLS} == told
