"""Every retention policy, by declaration: what is older goes, what is younger stays, and so does whatever is needed."""

import datetime as dt

import pytest

from apps.actions.models import ActionItem
from apps.actions.running import database_now, run
from apps.actions.selections import Selection
from apps.actions.verbs import Acted, kind_of
from apps.jobs import purging, retention
from apps.jobs.catalogue import KEPT, Kept
from apps.jobs.models import RetentionPolicy
from tests.cast import ROOT
from tests.jobs.aged import ROWS, action_run, letter, policy, purge, there

pytestmark = pytest.mark.django_db
each = pytest.mark.parametrize("kept", KEPT, ids=lambda kept: str(kept.slug))
each_noun = pytest.mark.parametrize(
    "kept",
    [kept for kept in KEPT if kept.slug in ("processed-events", "completed-operations", "job-runs")],
    ids=lambda kept: str(kept.slug),
)


def test_every_policy_has_rows_here() -> None:
    assert {kept.slug for kept in KEPT} == ROWS.keys()


@each
def test_what_is_older_goes_and_what_is_younger_stays(kept: Kept) -> None:
    old, young = ROWS[kept.slug](kept.days + 1), ROWS[kept.slug](kept.days - 1)
    record = purge(kept.slug)
    assert (there(old), there(young)) == (False, True)
    assert (record.status, record.counts[kept.slug]) == ("succeeded", 1)
    assert (policy(kept.slug).deleted, policy(kept.slug).run_id) == (1, record.pk)


@each
def test_nothing_goes_while_the_policy_is_held(kept: Kept) -> None:
    old = ROWS[kept.slug](kept.days + 1)
    run(
        RetentionPolicy.hold, Selection.ticked(RetentionPolicy, [policy(kept.slug).pk]), ROOT, given={"reason": "audit"}
    )
    purge()
    assert there(old)


@each
def test_the_dry_run_counts_by_the_same_condition(kept: Kept) -> None:
    old, _young = ROWS[kept.slug](kept.days + 1), ROWS[kept.slug](kept.days - 1)
    found = retention.going(kept, database_now() - dt.timedelta(days=kept.days))
    assert (found.count, found.at_least, found.sample) == (1, False, [old])
    record = purge(kept.slug, dry_run=True)
    assert (record.counts, there(old)) == ({f"{kept.slug} would go": 1}, True)


@each_noun
def test_what_an_open_dead_letter_speaks_of_stays(kept: Kept) -> None:
    old = ROWS[kept.slug](kept.days + 1)
    letter(1, "unresolved", source_kind=kind_of(type(old)), source_id=old.pk)
    purge(kept.slug)
    assert there(old)


@each_noun
def test_what_an_open_action_run_has_moved_stays(kept: Kept) -> None:
    old, under_way = ROWS[kept.slug](kept.days + 1), action_run(1, "watching")
    ActionItem.objects.create(run=under_way, object_id=old.pk, kind=kind_of(type(old)), verb="retry", actor_name="root")
    purge(kept.slug)
    assert isinstance(old, Acted)
    assert there(old)


@each
def test_what_goes_along_has_nothing_hanging_on_it(kept: Kept) -> None:
    """A purge looks one step far."""
    along = [model for model, _column in purging._hanging(retention.model_of(kept))]
    assert [model for model in along if retention.relations(model)] == []


@each
def test_one_column_of_a_table_forgets_what_goes(kept: Kept) -> None:
    """A purge is one statement, which may change a row once."""
    changed = [model for model, _column in purging._loosened(retention.model_of(kept))]
    assert len(changed) == len({*changed})
