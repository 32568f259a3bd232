from importlib import import_module

import pytest
from django.db import connection

from apps.actions.actors import Actor
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.deadletters.models import DeadLetter, LetterWords
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
    words = letter_of(failed).searched.words
    assert not [secret for secret in ("98888", "s3cr3t") if secret in words]


def test_a_new_error_is_found_and_the_old_one_no_more(failed: PendingOperation, as_ana: Actor) -> None:
    run(PendingOperation.retry, ticked(failed), as_ana)
    give_up([failed], last_error="pipeline is closed")
    assert (found("pipeline is closed"), found("stage_id")) == ({"deal.create"}, set())


def test_only_so_much_of_a_large_payload_is_kept(empty_company: Company) -> None:
    (row,) = give_up([empty_company.operation(payload={"text": "x" * 100_000})], last_error="y" * 5_000)
    assert len(letter_of(row).searched.words) < 5_000


def test_an_event_is_found_by_what_it_carries(db: None) -> None:
    event_of(source(), "failed", data={"lead": {"name": "Oficina Central"}})
    assert found("oficina central") == {"lead.created"}


def test_the_id_of_its_source_and_an_id_in_its_payload_find_it(empty_company: Company) -> None:
    customer = "0192f0c1-2b3c-7def-8a90-0123456789ab"
    (row,) = give_up([empty_company.operation(payload={"customer": customer})])
    assert (found(str(row.pk)), found(customer), found(customer[:-1] + "c")) == (
        {"deal.create"},
        {"deal.create"},
        set(),
    )


def written_by_the_version_before(row: PendingOperation, words: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE deadletters_deadletter SET words = %s WHERE source_id = %s", [words, row.pk])


def test_what_the_version_before_writes_is_found(failed: PendingOperation) -> None:
    written_by_the_version_before(failed, "ten sofas")
    assert (found("ten sofas"), found("ten chairs")) == ({"deal.create"}, set())


def test_words_of_the_version_before_are_moved_and_newer_ones_stay(failed: PendingOperation) -> None:
    written_by_the_version_before(failed, "ten sofas")
    LetterWords.objects.all().delete()
    migration = import_module("apps.deadletters.migrations.0006_words_moved")
    migration.copy(None, None)
    assert found("ten sofas") == {"deal.create"}
    LetterWords.objects.update(words="ten tables")
    migration.copy(None, None)
    assert found("ten tables") == {"deal.create"}
