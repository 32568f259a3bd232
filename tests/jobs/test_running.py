import datetime as dt

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.actions.verbs import Refused
from apps.deadletters.models import DeadLetter
from apps.jobs import execution, scheduling
from apps.jobs.execution import GiveBack, Lost, Work
from apps.jobs.models import Job, JobRun, Tenant
from tests.cast import ROOT
from tests.jobs.handlers import CALLS

LONG = dt.timedelta(hours=1)
"""Longer than any lease."""


def carried_out(slug: str, tenant: str = "") -> list[JobRun]:
    runs = scheduling.run_now(slug, ROOT, tenant=tenant)
    for each in runs:
        execution.run_here(each)
        each.refresh_from_db()
    return runs


def test_a_run_that_was_asked_for_succeeds_with_its_counts(jobs: dict[str, Job]) -> None:
    (done,) = carried_out("quiet")
    assert (done.status, done.counts, done.asked_by, done.slot_at) == ("succeeded", {"done": 1}, "root", None)
    assert done.duration is not None


def test_a_job_is_run_for_every_active_tenant(jobs: dict[str, Job]) -> None:
    Tenant.objects.bulk_create(Tenant(slug=slug, name=slug) for slug in ("acme", "bolt"))
    Tenant.objects.create(slug="away", name="Away", status="paused")
    carried_out("nightly")
    assert sorted(CALLS) == [("acme", {}), ("bolt", {})]


def test_a_failed_run_leaves_one_dead_letter_for_its_streak(jobs: dict[str, Job]) -> None:
    Tenant.objects.create(slug="acme", name="Acme")
    runs = [carried_out("refused")[0] for _night in range(3)]
    letter = DeadLetter.objects.get()
    assert [each.status for each in runs] == ["failed"] * 3
    assert (letter.source_id, letter.repeats, letter.tenant, letter.service) == (runs[0].pk, 2, "acme", "erp")


def test_what_a_handler_breaks_on_is_told_and_its_chunks_stand(jobs: dict[str, Job]) -> None:
    (broken,) = carried_out("broken")
    assert (broken.status, broken.error_type, broken.counts) == ("failed", "ZeroDivisionError", {"done": 3})


def test_a_success_supersedes_the_failures_before_it(jobs: dict[str, Job]) -> None:
    (broken,) = carried_out("broken")
    Job.objects.filter(slug="broken").update(slug="gone")
    Job.objects.filter(slug="quiet").update(slug="broken")
    JobRun.objects.filter(pk=broken.pk).update(job=jobs["quiet"])
    Job.objects.filter(pk=jobs["quiet"].pk).update(slug="quiet")
    carried_out("quiet")
    broken.refresh_from_db()
    assert (broken.status, DeadLetter.objects.get().status) == ("superseded", "resolved")


def test_a_rerun_is_a_new_run_that_names_the_first(jobs: dict[str, Job]) -> None:
    (broken,) = carried_out("broken")
    run(JobRun.rerun, Selection.ticked(JobRun, [broken.pk]), ROOT)
    again = JobRun.objects.get(rerun_of=broken)
    assert (again.status, DeadLetter.objects.get().status) == ("queued", "retrying")
    with pytest.raises(Refused, match="a rerun of it is under way already"):
        run(JobRun.rerun, Selection.ticked(JobRun, [broken.pk]), ROOT)
    execution.run_here(again)
    letter = DeadLetter.objects.get()
    assert (letter.status, letter.repeats, letter.source_id) == ("unresolved", 1, broken.pk)


def test_a_dead_letter_s_retry_runs_the_job_again(jobs: dict[str, Job]) -> None:
    (broken,) = carried_out("broken")
    run(DeadLetter.retry, Selection.ticked(DeadLetter, [DeadLetter.objects.get().pk]), ROOT)
    assert JobRun.objects.get(rerun_of=broken).asked_by == "root"


def test_a_paused_job_begins_nothing(jobs: dict[str, Job]) -> None:
    queued = scheduling.run_now("quiet", ROOT)
    run(Job.pause, Selection.ticked(Job, [jobs["quiet"].pk]), ROOT, given={"reason": "the ERP moves house"})
    assert execution.claim() is None
    with pytest.raises(Refused, match="the ERP moves house"):
        scheduling.run_now("quiet", ROOT)
    run(Job.resume, Selection.ticked(Job, [jobs["quiet"].pk]), ROOT)
    assert execution.claim() == queued[0]


def test_of_one_job_and_tenant_one_run_is_under_way(jobs: dict[str, Job]) -> None:
    scheduling.run_now("quiet", ROOT)
    scheduling.run_now("quiet", ROOT)
    assert execution.claim() is not None
    assert execution.claim() is None


def test_tenants_do_not_wait_for_each_other(jobs: dict[str, Job]) -> None:
    Tenant.objects.bulk_create(Tenant(slug=slug, name=slug) for slug in ("acme", "bolt"))
    scheduling.run_now("nightly", ROOT)
    taken = [execution.claim(), execution.claim()]
    assert sorted(run.tenant.slug for run in taken if run and run.tenant) == ["acme", "bolt"]


def claimed() -> Work:
    scheduling.run_now("quiet", ROOT)
    taken = execution.claim()
    assert taken is not None
    return Work(taken, lambda: False)


def test_a_worker_that_lost_its_run_writes_nothing_more(jobs: dict[str, Job]) -> None:
    work = claimed()
    JobRun.objects.update(lease_until=Now() - dt.timedelta(seconds=1))
    with pytest.raises(Lost), work.chunk():
        Tenant.objects.create(slug="ghost", name="Ghost")
    assert not Tenant.objects.filter(slug="ghost").exists()
    assert JobRun.objects.get().counts == {}


def test_a_silent_worker_s_run_goes_on_elsewhere(jobs: dict[str, Job]) -> None:
    work = claimed()
    with work.chunk() as counts:
        counts["done"] += 1
    JobRun.objects.update(lease_until=Now() - LONG)
    execution.rescue_lapsed()
    assert JobRun.objects.get().status == "queued"
    execution.work_off(5)
    assert (JobRun.objects.get().status, JobRun.objects.get().counts) == ("succeeded", {"done": 2})


def test_a_run_that_gets_nowhere_is_given_up_after_four_workers(jobs: dict[str, Job]) -> None:
    claimed()
    for _worker in range(4):
        JobRun.objects.update(lease_until=Now() - LONG)
        execution.rescue_lapsed()
        execution.claim()
    assert (JobRun.objects.get().failure_class, DeadLetter.objects.get().failure_class) == ("poison", "poison")


def test_a_run_that_gets_on_may_lose_any_number_of_workers(jobs: dict[str, Job]) -> None:
    work = claimed()
    for _worker in range(6):
        with work.chunk() as counts:
            counts["done"] += 1
        JobRun.objects.update(lease_until=Now() - LONG)
        execution.rescue_lapsed()
        taken = execution.claim()
        assert taken is not None
        work = Work(taken, lambda: False)
    assert JobRun.objects.get().counts == {"done": 6}


def test_a_run_that_takes_too_long_is_ended(jobs: dict[str, Job]) -> None:
    work = claimed()
    JobRun.objects.update(started_at=Now() - dt.timedelta(hours=2))
    execution.rescue_lapsed()
    assert (JobRun.objects.get().status, JobRun.objects.get().error_type) == ("failed", "timeout")
    with pytest.raises(Lost), work.chunk():
        pass


def test_a_cancelled_run_stops_at_its_next_chunk(jobs: dict[str, Job]) -> None:
    work = claimed()
    run(JobRun.cancel, Selection.ticked(JobRun, [work.run.pk]), ROOT, given={"reason": "the wrong tenant"})
    with pytest.raises(Lost), work.chunk():
        pass
    assert (JobRun.objects.get().status, DeadLetter.objects.count()) == ("failed", 0)


def test_a_worker_that_is_told_to_stop_gives_its_run_back(jobs: dict[str, Job]) -> None:
    (queued,) = scheduling.run_now("quiet", ROOT)
    taken = execution.claim()
    assert taken is not None
    assert execution.carry_out(taken, lambda: True) == "given back"
    queued.refresh_from_db()
    assert (queued.status, queued.crashes) == ("queued", 0)


def test_a_long_run_makes_room_for_those_that_wait(jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch) -> None:
    work = claimed()
    monkeypatch.setattr(execution, "SLICE_SECONDS", 0.0)
    with work.chunk():
        pass
    scheduling.run_now("broken", ROOT)
    with pytest.raises(GiveBack), work.chunk():
        pass


def test_the_command_runs_a_job_here(jobs: dict[str, Job], capsys: pytest.CaptureFixture[str]) -> None:
    call_command("run_job", "quiet")
    assert '{"done": 1}' in capsys.readouterr().out


def test_the_command_names_the_job_that_was_meant(jobs: dict[str, Job]) -> None:
    with pytest.raises(CommandError, match="There is no job quite; did you mean quiet"):
        call_command("run_job", "quite")


def test_the_command_ends_badly_where_a_run_fails(jobs: dict[str, Job]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("run_job", "broken")
    assert ended.value.code == 1
