import pytest

from apps.actions.actors import Actor
from apps.actions.models import ActionRun
from apps.actions.running import preview, run
from apps.actions.selections import Selection
from apps.actions.verbs import NotFound, NotPermitted
from apps.deadletters.models import DeadLetter
from apps.operations.models import PendingOperation
from tests.cast import Company, letter_of, matching, ticked

retry = PendingOperation.retry


def test_a_preview_counts_what_the_run_will_move(company: Company, as_ana: Actor) -> None:
    foreseen = preview(retry, matching(status="failed"), as_ana)
    record = run(retry, matching(status="failed"), as_ana)
    assert (foreseen.total, foreseen.moving) == (record.total, record.moved)
    assert dict(foreseen.refused) == record.refusals


def test_a_preview_of_dead_letters_counts_what_their_sources_refuse(company: Company, as_ana: Actor) -> None:
    everything = Selection.matching(DeadLetter, {})
    foreseen = preview(DeadLetter.retry, everything, as_ana)
    record = run(DeadLetter.retry, everything, as_ana)
    assert (foreseen.total, foreseen.moving) == (record.total, record.moved) == (3, 2)
    assert dict(foreseen.refused) == record.refusals


def test_a_preview_shows_a_few_of_the_rows_that_move(company: Company, as_ana: Actor) -> None:
    sample = preview(retry, matching(status="failed"), as_ana).sample
    assert [row.pk for row in sample] == [row.pk for row in company.operations["failed"]]


def test_a_preview_of_dead_letters_shows_only_those_that_move(company: Company, as_ana: Actor) -> None:
    sample = preview(DeadLetter.retry, Selection.matching(DeadLetter, {}), as_ana).sample
    assert [letter.pk for letter in sample] == [letter_of(row).pk for row in company.operations["failed"]]


def test_a_preview_changes_nothing(company: Company, as_ana: Actor) -> None:
    before = ActionRun.objects.count()
    preview(retry, matching(status="failed"), as_ana)
    assert ActionRun.objects.count() == before
    assert PendingOperation.objects.filter(status="failed").count() == 5


def test_a_preview_needs_the_permission_of_the_verb(company: Company, as_bia: Actor) -> None:
    with pytest.raises(NotPermitted):
        preview(retry, matching(), as_bia)


def test_a_preview_of_a_row_that_is_not_there_says_so(company: Company, as_ana: Actor) -> None:
    with pytest.raises(NotFound):
        preview(retry, Selection.ticked(PendingOperation, ["0192f0c1-2b3c-7def-8a90-0123456789ab"]), as_ana)


def test_what_a_source_deleted_left_behind_is_refused(company: Company, as_ana: Actor) -> None:
    first = company.operations["failed"][0]
    letter = letter_of(first)
    first.delete()
    foreseen = preview(DeadLetter.retry, Selection.ticked(DeadLetter, [letter.pk]), as_ana)
    assert foreseen.refused == [("its source is no longer kept", 1)]


def test_a_refused_row_is_counted_by_its_sentence(company: Company, as_ana: Actor) -> None:
    foreseen = preview(retry, ticked(*company.operations["completed"]), as_ana)
    assert foreseen.refused == [("completed; retry needs failed or pending", 2)]
