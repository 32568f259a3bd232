import datetime as dt

import pytest

from apps.actions import pacing
from apps.actions.actors import Actor
from apps.actions.models import history_of
from apps.actions.running import database_now, run
from apps.actions.selections import Selection
from apps.actions.verbs import Invalid, Verb
from apps.deadletters import backlog
from apps.deadletters.causes import causes, regress_lapsed, worked_last_time
from apps.deadletters.models import DeadLetter, FailureFamily
from apps.operations.models import PendingOperation
from tests.cast import Company, complete, give_up, letter_of, ticked

SOON = dt.timedelta(hours=1)


def family() -> FailureFamily:
    return FailureFamily.objects.get()


def press(verb: Verb, who: Actor, **given: object) -> FailureFamily:
    run(verb, Selection.ticked(FailureFamily, [family().pk]), who, given=given)
    return family()


def letters_of(one: FailureFamily, **words: str) -> Selection:
    return Selection.matching(DeadLetter, {"family": one.fingerprint, **words})


def test_the_first_dead_letter_makes_its_family(empty_company: Company) -> None:
    empty_company.failed(3, last_error="deal 17 has no stage 'won'")
    one = family()
    assert (one.status, one.title, one.service) == ("open", "deal.create", "piperun")
    assert backlog.of_families([one.fingerprint]) == {one.fingerprint: {"unresolved": 3}}


def test_what_failed_alike_later_joins_the_family_that_is_there(empty_company: Company) -> None:
    empty_company.failed(1, last_error="deal 17 has no stage 'won'")
    empty_company.failed(2, last_error="deal 18 has no stage 'lost'")
    empty_company.failed(1, last_error="no answer")
    assert sorted(sum(each.values()) for each in all_counts().values()) == [1, 3]


def all_counts() -> dict[str, dict[str, int]]:
    return backlog.of_families(FailureFamily.objects.values_list("fingerprint", flat=True))


def test_who_acknowledges_is_its_owner(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(1)
    one = press(FailureFamily.acknowledge, as_ana)
    assert (one.status, one.owner) == ("acknowledged", "ana")


def test_an_owner_may_be_named(empty_company: Company, as_ana: Actor, as_bia: Actor) -> None:
    empty_company.failed(1)
    assert press(FailureFamily.acknowledge, as_ana, owner="BIA").owner == "bia"


@pytest.mark.parametrize("name", ["nobody", "a\0b", "x" * 3000])
def test_an_owner_is_somebody_who_is_there(empty_company: Company, as_ana: Actor, name: str) -> None:
    empty_company.failed(1)
    with pytest.raises(Invalid):
        press(FailureFamily.acknowledge, as_ana, owner=name)
    assert family().status == "open"


def test_a_new_arrival_opens_a_resolved_family_again(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(1)
    press(FailureFamily.resolve, as_ana, note="the stage is back")
    empty_company.failed(1)
    one = family()
    assert (one.status, one.regressions, one.resolved_at) == ("open", 1, None)
    assert (history_of(one.pk)[0].verb, history_of(one.pk)[0].run) == ("regress", None)


def test_one_that_fails_again_opens_its_resolved_family_too(empty_company: Company, as_ana: Actor) -> None:
    rows = empty_company.failed(1)
    press(FailureFamily.resolve, as_ana, note="mended")
    run(PendingOperation.retry, ticked(*rows), as_ana)
    give_up(rows)
    assert family().status == "open"


def test_a_family_somebody_sees_to_stays_with_them(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(1)
    press(FailureFamily.acknowledge, as_ana)
    empty_company.failed(1)
    assert (family().status, family().owner) == ("acknowledged", "ana")


def test_an_ignored_family_still_keeps_and_counts_what_arrives(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(1)
    press(FailureFamily.ignore, as_ana, until=database_now() + SOON)
    empty_company.failed(2)
    assert family().status == "ignored"
    assert backlog.counts()["unresolved"] == 3
    assert (causes(), [cause.count for cause in causes(quiet=True)]) == ([], [3])


def test_a_new_arrival_opens_a_family_whose_time_is_over(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(1)
    press(FailureFamily.ignore, as_ana, until=database_now() + SOON)
    FailureFamily.objects.update(ignored_until=database_now())
    empty_company.failed(1)
    assert (family().status, family().ignored_until) == ("open", None)


def test_the_sweep_opens_what_was_ignored_for_long_enough(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(1)
    press(FailureFamily.ignore, as_ana, until=database_now() + SOON)
    regress_lapsed()
    assert family().status == "ignored"
    FailureFamily.objects.update(ignored_until=database_now())
    regress_lapsed()
    assert family().status == "open"


def test_a_family_ignored_without_end_stays_so(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(1)
    press(FailureFamily.ignore, as_ana)
    empty_company.failed(1)
    regress_lapsed()
    assert family().status == "ignored"


def test_an_archived_dead_letter_swallows_no_new_arrival(empty_company: Company, as_ana: Actor) -> None:
    rows = empty_company.failed(1)
    run(DeadLetter.archive, letters_of(family()), as_ana, given={"reason": "withdrawn"})
    press(FailureFamily.resolve, as_ana, note="nothing to do")
    new = empty_company.failed(1)
    assert (letter_of(rows[0]).status, letter_of(new[0]).status) == ("archived", "unresolved")
    assert (family().status, [cause.count for cause in causes()]) == ("open", [1])


def test_a_verb_on_the_family_moves_its_members_and_no_others(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(2)
    (other,) = empty_company.failed(1, last_error="another cause")
    mine = FailureFamily.objects.exclude(fingerprint=letter_of(other).fingerprint).get()
    record = run(DeadLetter.retry, letters_of(mine, status="unresolved"), as_ana)
    assert (record.moved, letter_of(other).status) == (2, "unresolved")


def test_what_worked_last_time_is_the_newest_run_over_the_family_with_confirmed_rows(
    empty_company: Company, as_ana: Actor
) -> None:
    rows = empty_company.failed(3)
    record = run(DeadLetter.retry, letters_of(family(), status="unresolved"), as_ana, given={"note": "token rotated"})
    assert worked_last_time(family()) is None
    complete(rows)
    pacing.watch()
    found = worked_last_time(family())
    assert found is not None
    assert (found.pk, found.moved, found.confirmed) == (record.pk, 3, 3)


def test_a_run_over_more_than_the_family_is_not_what_worked_for_it(empty_company: Company, as_ana: Actor) -> None:
    rows = empty_company.failed(2)
    run(DeadLetter.retry, Selection.matching(DeadLetter, {}), as_ana)
    complete(rows)
    pacing.watch()
    assert worked_last_time(family()) is None


def test_the_tally_follows_every_move_and_is_folded(empty_company: Company, as_ana: Actor) -> None:
    first, *_rest = rows = empty_company.failed(4)
    run(DeadLetter.archive, Selection.ticked(DeadLetter, [letter_of(first).pk]), as_ana, given={"reason": "x"})
    run(PendingOperation.retry, ticked(rows[1]), as_ana)
    complete(rows[1:2])
    expected = {"unresolved": 2, "retrying": 0, "resolved": 1, "archived": 1}
    assert backlog.counts() == expected
    backlog.fold_tallies()
    assert backlog.counts() == expected


def test_the_groups_are_counted_by_error_and_entity_with_their_ends(empty_company: Company) -> None:
    empty_company.failed(2)
    empty_company.failed(1, error_type="timeout", last_error="no answer")
    first, second = backlog.groups()
    assert [(each.error_type, each.entity_type, each.count) for each in (first, second)] == [
        ("http_422", "deal", 2),
        ("timeout", "deal", 1),
    ]
    assert first.oldest <= first.newest <= second.oldest


def test_the_trend_counts_by_hour_and_by_day(empty_company: Company) -> None:
    empty_company.failed(3)
    cause = family().fingerprint
    DeadLetter.objects.filter(pk=DeadLetter.objects.order_by("pk")[0].pk).update(opened_at=database_now() - 30 * SOON)
    hourly, daily = (backlog.trends([cause], span)[cause].values for span in (backlog.HOURLY, backlog.DAILY))
    assert (sum(hourly), hourly[-1], len(hourly)) == (2, 2, 24)
    assert (sum(daily), daily[-1], len(daily)) == (3, 2, 14)
