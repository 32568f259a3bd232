import pytest

from apps.actions.actors import Actor
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.deadletters.models import DeadLetter
from apps.operations.models import PendingOperation
from tests.cast import Company, give_up, letter_of, ticked
from tests.integrations.events import event_of, source


def found(text: str, **words: str) -> set[str]:
    rows = Selection.matching(DeadLetter, {"q": text, **words}).rows()
    return {letter.title for letter in rows}


@pytest.fixture
def failed(empty_company: Company) -> PendingOperation:
    payload = {
        "title": "Ten chairs",
        "phone": "+55 11 98888-7777",
        "api_token": "s3cr3t-value",
        "lines": [{"sku": "A-9"}],
    }
    (row,) = give_up(
        [empty_company.operation(payload=payload, entity_id="order-4711")], last_error="stage_id: is required"
    )
    return row


@pytest.mark.parametrize("text", ["stage_id", "IS REQUIRED", "ten CHAIRS", "A-9", "order-4711"])
def test_error_payload_and_entity_are_searched(failed: PendingOperation, text: str) -> None:
    assert found(text) == {"deal.create"}


@pytest.mark.parametrize("text", ["no such thing", "98888", "s3cr3t", "%", "_______________________________x"])
def test_what_is_not_there_or_is_masked_is_not_found(failed: PendingOperation, text: str) -> None:
    assert found(text) == set()


def test_no_secret_and_no_phone_is_kept_beside_the_dead_letter(failed: PendingOperation) -> None:
    words = letter_of(failed).words
    assert not [secret for secret in ("98888", "s3cr3t") if secret in words]


def test_a_new_error_is_found_and_the_old_one_no_more(failed: PendingOperation, as_ana: Actor) -> None:
    run(PendingOperation.retry, ticked(failed), as_ana)
    give_up([failed], last_error="pipeline is closed")
    assert (found("pipeline is closed"), found("stage_id")) == ({"deal.create"}, set())


def test_only_so_much_of_a_large_payload_is_kept(empty_company: Company) -> None:
    (row,) = give_up([empty_company.operation(payload={"text": "x" * 100_000})], last_error="y" * 5_000)
    assert len(letter_of(row).words) < 5_000


def test_an_event_is_found_by_what_it_carries(db: None) -> None:
    event_of(source(), "failed", data={"lead": {"name": "Oficina Central"}})
    assert found("oficina central") == {"lead.created"}
