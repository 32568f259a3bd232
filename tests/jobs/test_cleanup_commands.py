import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.jobs import execution, retention
from apps.jobs.models import JobRun, RetentionPolicy
from tests.cast import ROOT
from tests.jobs.aged import ago, event, job_run, letter, operation, policy, there

pytestmark = pytest.mark.django_db


def test_cleanup_deletes_events_older_than_so_many_days(capsys: pytest.CaptureFixture[str]) -> None:
    old, young, other = event(11), event(9), operation(400)
    call_command("cleanup", "--days=10", "--yes")
    assert (there(old), there(young), there(other)) == (False, True, True)
    assert "Processed events: 1 deleted, 0 archived." in capsys.readouterr().out


def test_cleanup_without_days_goes_by_every_policy() -> None:
    rows = [event(31), letter(91)]
    call_command("cleanup", "--yes")
    assert [there(row) for row in rows] == [False, False]


def test_cleanup_leaves_a_run_that_says_what_went(capsys: pytest.CaptureFixture[str]) -> None:
    event(31)
    call_command("cleanup", "--days=30", "--yes")
    record = JobRun.objects.get(job__slug="cleanup")
    assert (record.status, record.counts) == ("succeeded", {"processed-events": 1})
    assert f"Job run {record.pk}." in capsys.readouterr().out


def test_cleanup_asks_first_and_deletes_nothing_without_a_yes(capsys: pytest.CaptureFixture[str]) -> None:
    old = event(31)
    with pytest.raises(CommandError, match="Give --yes to delete"):
        call_command("cleanup", "--days=30")
    assert "Processed events: 1 would go." in capsys.readouterr().err
    assert there(old)


def test_cleanup_may_only_say_what_would_go(capsys: pytest.CaptureFixture[str]) -> None:
    old = event(31)
    call_command("cleanup", "--days=30", "--dry-run")
    assert "Processed events: 1 would go." in capsys.readouterr().out
    assert there(old)


@pytest.mark.parametrize("days", ["0", "-1", "x", "1.5", "99999", "²"])
def test_days_that_are_none_are_refused(days: str) -> None:
    with pytest.raises(CommandError, match="number of days"):
        call_command("cleanup", f"--days={days}", "--yes")


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(CommandError, match="There is no retention policy events; there are "):
        call_command("cleanup", "--only", "events", "--yes")


def test_a_held_policy_is_said() -> None:
    selection = Selection.ticked(RetentionPolicy, [policy("processed-events").pk])
    run(RetentionPolicy.hold, selection, ROOT, given={"reason": "audit"})
    with pytest.raises(CommandError, match="processed-events is held: audit"):
        call_command("cleanup", "--days=30", "--yes")


def test_cleanup_dlq_deletes_archived_letters_and_their_operations() -> None:
    source = operation(91, "failed", archived_at=ago(91))
    put_away, waits = letter(91, source_id=source.pk), letter(400, "unresolved")
    call_command("cleanup_dlq", "--archived", "--days=90", "--yes")
    assert [there(row) for row in (source, put_away, waits)] == [False, False, True]


def test_cleanup_dlq_deletes_archived_ones_only() -> None:
    with pytest.raises(CommandError, match="say --archived"):
        call_command("cleanup_dlq", "--days=90", "--yes")


def test_prune_job_runs_deletes_runs_older_than_so_many_days() -> None:
    old, young = job_run(31), job_run(29)
    call_command("prune_job_runs", "--days=30", "--yes")
    assert (there(old), there(young)) == (False, True)


def test_a_purge_under_way_makes_the_next_wait() -> None:
    first = retention.queue({}, "ana")
    assert execution.claim(pk=first.pk) is not None
    with pytest.raises(CommandError, match="Another purge is under way"):
        call_command("cleanup", "--days=30", "--yes")
