import pytest

from apps.actions import pacing
from apps.actions.actors import Actor
from apps.actions.models import ActionRun, history_of
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.actions.verbs import Refused
from apps.deadletters.models import DeadLetter
from apps.operations.models import PendingOperation
from tests.cast import Company, complete, give_up, letter_of, ticked


def letters(*operations: PendingOperation) -> Selection:
    return Selection.ticked(DeadLetter, [letter_of(operation).pk for operation in operations])


def test_giving_up_opens_a_dead_letter(empty_company: Company) -> None:
    (row,) = empty_company.failed(1, last_error="stage_id: is required")
    letter = letter_of(row)
    assert (letter.status, letter.title, letter.service) == ("unresolved", "deal.create", "piperun")
    assert (letter.failure_class, letter.message) == ("permanent_data", "stage_id: is required")


def test_failures_alike_have_one_fingerprint(empty_company: Company) -> None:
    (first,) = empty_company.failed(1, last_error="deal 17 has no stage 'won'")
    (second,) = empty_company.failed(1, last_error="deal 4711 has no stage 'lost'")
    assert letter_of(first).fingerprint == letter_of(second).fingerprint


def test_failing_again_reopens_the_dead_letter_with_its_repeats(empty_company: Company, as_ana: Actor) -> None:
    rows = empty_company.failed(3)
    run(PendingOperation.retry, ticked(*rows), as_ana)
    give_up(rows, last_error="another reason")
    assert set(DeadLetter.objects.values_list("status", "repeats", "message")) == {("unresolved", 1, "another reason")}


def test_each_reopened_letter_carries_its_own_error(empty_company: Company, as_ana: Actor) -> None:
    first, second = empty_company.failed(2)
    run(PendingOperation.retry, ticked(first, second), as_ana)
    give_up([first], last_error="one")
    give_up([second], last_error="two")
    assert (letter_of(first).message, letter_of(second).message) == ("one", "two")


def test_success_of_the_source_resolves_its_dead_letter(empty_company: Company, as_ana: Actor) -> None:
    (row,) = rows = empty_company.failed(1)
    run(PendingOperation.retry, ticked(row), as_ana)
    complete(rows)
    assert letter_of(row).status == "resolved"


def test_a_success_without_a_dead_letter_leaves_none(empty_company: Company) -> None:
    complete(empty_company.operations_of(1))
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize(
    ("verb", "given", "source", "letter"),
    [
        ("retry", {}, "pending", "retrying"),
        ("resolve", {"note": "by phone"}, "completed", "resolved"),
        ("archive", {"reason": "withdrawn"}, "failed", "archived"),
    ],
)
def test_a_dead_letters_verb_runs_on_its_source_and_follows(
    empty_company: Company, as_ana: Actor, verb: str, given: dict[str, str], source: str, letter: str
) -> None:
    (row,) = empty_company.failed(1)
    run(getattr(DeadLetter, verb), letters(row), as_ana, given=given)
    row.refresh_from_db()
    assert (row.status, letter_of(row).status) == (source, letter)


def test_an_archived_dead_letter_is_restored_with_its_source(empty_company: Company, as_ana: Actor) -> None:
    (row,) = empty_company.failed(1)
    run(DeadLetter.archive, letters(row), as_ana, given={"reason": "x"})
    run(DeadLetter.restore, letters(row), as_ana)
    row.refresh_from_db()
    assert (row.archived_at, letter_of(row).status) == (None, "unresolved")


def test_the_note_of_a_resolution_stands_on_both(empty_company: Company, as_ana: Actor) -> None:
    (row,) = empty_company.failed(1)
    run(DeadLetter.resolve, letters(row), as_ana, given={"note": "done by phone"})
    row.refresh_from_db()
    assert (row.resolution_note, letter_of(row).resolution_notes) == ("done by phone", "done by phone")


def test_a_source_that_refuses_refuses_its_dead_letter_in_its_own_sentence(
    empty_company: Company, as_ana: Actor
) -> None:
    (row,) = empty_company.failed(1, failure_class="ambiguous")
    with pytest.raises(Refused, match="outcome unknown: check the far end first") as refused:
        run(DeadLetter.retry, letters(row), as_ana)
    assert str(refused.value).startswith(str(letter_of(row)))


def test_a_dead_letter_whose_source_is_gone_says_so(empty_company: Company, as_ana: Actor) -> None:
    (row,) = empty_company.failed(1)
    selection = letters(row)
    row.delete()
    with pytest.raises(Refused, match="its source is no longer kept"):
        run(DeadLetter.retry, selection, as_ana)


def test_in_bulk_the_refused_stay_and_the_others_go(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(2)
    empty_company.failed(1, failure_class="ambiguous")
    record = run(DeadLetter.retry, Selection.matching(DeadLetter, {}), as_ana)
    assert (record.moved, record.refused) == (2, 1)
    assert PendingOperation.objects.filter(status="pending").count() == 2


def test_items_of_both_hang_on_one_run(empty_company: Company, as_ana: Actor) -> None:
    (row,) = empty_company.failed(1)
    record = run(DeadLetter.retry, letters(row), as_ana)
    assert set(record.items.values_list("kind", "object_id")) == {
        ("deadletters.deadletter", letter_of(row).pk),
        ("operations.pendingoperation", row.pk),
    }


def test_a_letter_moved_by_a_worker_has_an_item_without_a_run(empty_company: Company, as_ana: Actor) -> None:
    (row,) = rows = empty_company.failed(1)
    run(PendingOperation.retry, ticked(row), as_ana)
    complete(rows)
    newest = history_of(letter_of(row).pk)[0]
    assert (newest.verb, newest.run, newest.to_status) == ("settle", None, "resolved")


def test_a_retried_letter_says_who_did_it_to_the_next_one(empty_company: Company, as_ana: Actor) -> None:
    (row,) = empty_company.failed(1)
    run(PendingOperation.retry, ticked(row), as_ana)
    with pytest.raises(Refused, match=r"is retrying \(retry by ana at .*\); resolve needs unresolved"):
        run(DeadLetter.resolve, letters(row), as_ana, given={"note": "x"})


def test_a_bulk_run_of_dead_letters_watches_them_settle(empty_company: Company, as_ana: Actor) -> None:
    (row,) = rows = empty_company.failed(1)
    record = run(DeadLetter.retry, letters(row), as_ana)
    complete(rows)
    pacing.watch()
    record.refresh_from_db()
    assert (record.status, record.confirmed) == (ActionRun.Status.FINISHED, 1)


def test_an_operation_cancelled_and_restored_is_in_the_inbox(empty_company: Company, as_ana: Actor) -> None:
    (row,) = empty_company.operations_of(1)
    run(PendingOperation.cancel, ticked(row), as_ana, given={"reason": "not wanted"})
    run(PendingOperation.restore, ticked(row), as_ana)
    assert letter_of(row).status == "unresolved"
