import pytest

from apps.actions import running
from apps.actions.actors import Actor, Door
from apps.actions.models import ActionItem, ActionRun, history_of
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.actions.verbs import NotFound, Refused
from apps.operations.models import PendingOperation
from tests.cast import Company, letter_of, matching, ticked

retry, archive = PendingOperation.retry, PendingOperation.archive


def test_retry_sends_a_failed_operation_on_its_way(company: Company, as_ana: Actor) -> None:
    first = company.operations["failed"][0]
    run(retry, ticked(first), as_ana)
    first.refresh_from_db()
    assert (first.status, letter_of(first).status) == ("pending", "retrying")


def test_a_run_says_who_asked_through_which_door_and_why(company: Company, as_ana: Actor) -> None:
    record = run(archive, ticked(company.operations["failed"][0]), as_ana, given={"reason": " asked twice "})
    assert (record.actor, record.door, record.given) == (as_ana.user, Door.ADMIN, {"reason": "asked twice"})


def test_the_given_words_are_written_to_the_row(company: Company, as_ana: Actor) -> None:
    first = company.operations["failed"][0]
    run(archive, ticked(first), as_ana, given={"reason": "asked twice"})
    first.refresh_from_db()
    assert (first.archive_reason, first.archived_at is not None) == ("asked twice", True)


def test_each_moved_row_has_its_item_on_the_run(company: Company, as_ana: Actor) -> None:
    record = run(retry, ticked(*company.operations["failed"]), as_ana)
    items = record.items.filter(kind="operations.pendingoperation").values_list("verb", "from_status", "to_status")
    assert list(items) == [("retry", "failed", "pending")] * 2


def test_the_dead_letters_that_follow_hang_on_the_same_run(company: Company, as_ana: Actor) -> None:
    record = run(retry, ticked(*company.operations["failed"]), as_ana)
    assert record.items.filter(kind="deadletters.deadletter", verb="follow_retry").count() == 2


def test_a_state_that_stays_is_written_as_such_in_the_history(company: Company, as_ana: Actor) -> None:
    first = company.operations["failed"][0]
    run(archive, ticked(first), as_ana, given={"reason": "x"})
    newest = history_of(first.pk)[0]
    assert (newest.from_status, newest.to_status, newest.actor_name) == ("failed", "failed", "ana")


def test_a_watched_verb_leaves_the_run_watching(company: Company, as_ana: Actor) -> None:
    assert run(retry, ticked(company.operations["failed"][0]), as_ana).status == ActionRun.Status.WATCHING


def test_a_verb_that_nothing_settles_finishes_at_once(company: Company, as_ana: Actor) -> None:
    record = run(archive, ticked(company.operations["failed"][0]), as_ana, given={"reason": "x"})
    assert record.status == ActionRun.Status.FINISHED


def test_one_row_that_may_not_move_refuses_in_a_sentence(company: Company, as_ana: Actor) -> None:
    done = company.operations["completed"][0]
    with pytest.raises(Refused) as refused:
        run(retry, ticked(done), as_ana)
    assert str(refused.value) == f"{done} is completed; retry needs failed or pending."


def test_a_refused_asking_leaves_nothing_behind(company: Company, as_ana: Actor) -> None:
    before = ActionRun.objects.count()
    with pytest.raises(Refused):
        run(retry, ticked(company.operations["completed"][0]), as_ana)
    assert ActionRun.objects.count() == before


def test_a_refusal_names_who_was_there_before(company: Company, as_ana: Actor, as_bia: Actor) -> None:
    first = company.operations["failed"][0]
    run(retry, ticked(first), as_ana)
    with pytest.raises(Refused, match=r"is pending \(retry by ana at \d\d:\d\d\); reset needs failed"):
        run(PendingOperation.reset, ticked(first), as_ana)


def test_a_bulk_run_moves_what_may_and_counts_the_refused_by_sentence(company: Company, as_ana: Actor) -> None:
    rows = [*company.operations["failed"], *company.operations["completed"], *company.operations["ambiguous"]]
    record = run(retry, ticked(*rows), as_ana)
    assert (record.total, record.moved, record.refused) == (5, 2, 3)
    assert sorted(record.refusals.values()) == [1, 2]


def test_a_bulk_run_lists_its_refused_rows_with_full_sentences(company: Company, as_ana: Actor) -> None:
    done = company.operations["completed"][0]
    record = run(retry, ticked(done, *company.operations["failed"]), as_ana)
    (listed,) = record.refused_rows
    assert listed == {"id": str(done.pk), "why": f"{done} is completed; retry needs failed or pending."}


def test_only_the_first_refused_rows_are_listed(
    company: Company, as_ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "REFUSED_KEPT", 1)
    record = run(retry, ticked(*company.operations["completed"]), as_ana)
    assert (len(record.refused_rows), record.refused) == (1, 2)


def test_an_ambiguous_operation_is_not_retried_even_in_bulk(company: Company, as_ana: Actor) -> None:
    run(retry, matching(status="failed"), as_ana)
    (unsure,) = company.operations["ambiguous"]
    unsure.refresh_from_db()
    assert unsure.status == "failed"


def test_one_id_that_is_not_there_moves_nothing(company: Company, as_ana: Actor) -> None:
    ids = [str(company.operations["failed"][0].pk), "0192f0c1-2b3c-7def-8a90-0123456789ab"]
    with pytest.raises(NotFound, match="1 of 2 rows are not there"):
        run(retry, Selection.ticked(PendingOperation, ids), as_ana)
    assert not ActionItem.objects.filter(verb="retry").exists()


def test_a_filter_that_matches_nothing_is_a_run_of_no_rows(company: Company, as_ana: Actor) -> None:
    record = run(archive, matching(status="failed", entity="invoice"), as_ana, given={"reason": "x"})
    assert (record.total, record.status) == (0, ActionRun.Status.FINISHED)


def test_archived_rows_stay_out_of_every_bulk_verb(company: Company, as_ana: Actor) -> None:
    record = run(retry, matching(status="failed"), as_ana)
    assert (record.moved, record.refused) == (2, 1)


def test_an_archived_row_that_is_ticked_says_so(company: Company, as_ana: Actor) -> None:
    put_away = company.operations["archived"][0]
    with pytest.raises(Refused, match=r"is archived \(archive by root at .*\); restore it first"):
        run(retry, ticked(put_away), as_ana)


def test_reset_forgets_attempts_and_errors(company: Company, as_ana: Actor) -> None:
    first = company.operations["failed"][0]
    run(PendingOperation.reset, ticked(first), as_ana)
    first.refresh_from_db()
    assert (first.attempts, first.last_error, first.failure_class) == (0, "", "")


def test_a_pending_operation_that_is_due_is_not_retried(company: Company, as_ana: Actor) -> None:
    with pytest.raises(Refused, match="already due"):
        run(retry, ticked(company.operations["pending"][0]), as_ana)
