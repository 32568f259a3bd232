import datetime as dt

import pytest

from apps.actions.actors import Actor
from apps.actions.models import ActionRun
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.actions.verbs import Invalid
from apps.deadletters.models import DeadLetter
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.cast import Company, matching


def test_an_unknown_filter_is_named_and_one_is_suggested(db: None) -> None:
    with pytest.raises(Invalid, match=r"There is no filter servce; did you mean service\?"):
        matching(servce="piperun")


def test_an_unknown_filter_far_from_all_lists_what_is_known(db: None) -> None:
    with pytest.raises(Invalid, match="known: status, service, queue"):
        matching(colour="red")


def test_a_state_that_does_not_exist_is_named_and_one_is_suggested(db: None) -> None:
    with pytest.raises(Invalid, match=r"fialed is no status; did you mean failed\?"):
        matching(status="fialed")


def test_a_service_that_does_not_exist_is_named_and_one_is_suggested(company: Company) -> None:
    with pytest.raises(Invalid, match=r"pipprun is no service; did you mean piperun\?"):
        matching(service="pipprun")


def test_a_state_in_upper_case_is_taken(company: Company) -> None:
    assert matching(status="FAILED").rows().count() == 3


def test_several_states_are_taken(company: Company) -> None:
    assert matching(status="failed, completed").rows().count() == 5


def test_several_services_are_taken(company: Company) -> None:
    assert matching(service="piperun,erp", status="pending").rows().count() == 3


def test_a_filter_by_service_needs_no_join(company: Company) -> None:
    assert "JOIN" not in str(matching(service="piperun", queue="crm").rows().query)


def test_archived_rows_match_only_where_the_filter_names_them(company: Company) -> None:
    assert matching(archived="yes").rows().count() == 2
    assert matching(status="failed").rows().count() == 3


def test_archived_dead_letters_match_where_their_state_is_named(company: Company) -> None:
    assert Selection.matching(DeadLetter, {"status": "archived"}).rows().count() == 2
    assert Selection.matching(DeadLetter, {}).rows().count() == 3


def test_a_search_looks_into_the_errors(company: Company) -> None:
    assert matching(q="STAGE_ID").rows().count() == 2


def test_a_search_for_blanks_is_none(company: Company) -> None:
    assert set(matching(q="  ").rows()) == set(matching().rows())


def test_a_search_finds_a_row_by_its_id(company: Company) -> None:
    first = company.operations["completed"][0]
    assert [row.pk for row in matching(q=str(first.pk)).rows()] == [first.pk]


def test_a_search_finds_a_dead_letter_by_its_source(company: Company) -> None:
    first = company.operations["failed"][0]
    assert [letter.source_id for letter in Selection.matching(DeadLetter, {"q": str(first.pk)}).rows()] == [first.pk]


def test_a_noun_without_searches_says_so(db: None) -> None:
    with pytest.raises(Invalid, match="action runs cannot be searched"):
        Selection.matching(ActionRun, {"q": "x"})


def test_a_day_begins_where_the_operators_live(company: Company) -> None:
    (row,) = company.operations["elsewhere"]
    night = dt.datetime(2026, 1, 31, 2, 30, tzinfo=dt.UTC)  # 23:30 of the 30th in São Paulo
    PendingOperation.objects.filter(pk=row.pk).update(created_at=night)
    assert matching(before="2026-01-31").rows().get() == row


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "2026-02-30T10:00:00Z"])
def test_a_moment_that_is_none_says_what_one_looks_like(db: None, since: str) -> None:
    with pytest.raises(Invalid, match="since takes a day or a moment: 2026-01-31"):
        matching(since=since)


@pytest.mark.parametrize("value", ["a\0b", "half \ud800 a pair", "x" * 501])
@pytest.mark.parametrize("word", ["q", "type", "service"])
def test_what_no_column_takes_is_refused_before_the_database(db: None, word: str, value: str) -> None:
    with pytest.raises(Invalid, match="up to 500 characters of plain text"):
        matching(**{word: value})


def test_yes_or_no_is_asked_for_where_a_column_is_there_or_not(db: None) -> None:
    with pytest.raises(Invalid, match="archived takes yes or no"):
        matching(archived="maybe")


@pytest.mark.parametrize("key", ["12", None, "0192f0c1-2b3c-7def-8a90-0123456789a;"])
def test_what_is_no_id_says_what_one_looks_like(db: None, key: str) -> None:
    with pytest.raises(Invalid, match="An id looks like"):
        Selection.ticked(Queue, [key])


def test_nothing_ticked_is_refused(db: None) -> None:
    with pytest.raises(Invalid, match="No row is ticked"):
        Selection.ticked(Queue, [])


def test_more_than_a_thousand_ids_are_refused(company: Company) -> None:
    ids = [str(row.pk) for row in company.operations_of(1001)]
    with pytest.raises(Invalid, match="At most 1000 ids"):
        Selection.ticked(PendingOperation, ids)


def test_rows_made_after_the_asking_stay_out(company: Company, as_ana: Actor) -> None:
    record = run(PendingOperation.retry, matching(status="failed"), as_ana)
    PendingOperation.objects.update(created_at=dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
    assert Selection.from_record(PendingOperation, record.selection).rows().count() == 0


def test_a_selection_says_in_words_what_it_is(company: Company) -> None:
    assert matching(status="FAILED").words() == "pending operations with status = failed"
    assert matching().words() == "all pending operations"
    assert Selection.ticked(Queue, [company.crm.pk]).words() == "1 ticked row of queues"
