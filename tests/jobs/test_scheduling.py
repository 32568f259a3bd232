import datetime as dt

import pytest
from django.db.models import F
from django.db.models.functions import Now

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.actions.verbs import Refused
from apps.jobs import execution, scheduling
from apps.jobs.models import Job, JobRun, Tenant
from apps.jobs.stats import lateness
from tests.cast import ROOT

MINUTE = dt.timedelta(minutes=1)


def passed(job: Job, minutes: int) -> None:
    """Let so many minutes have passed since the next slot that is not a run yet."""
    scheduling.open_slots()
    Job.objects.filter(pk=job.pk).update(next_at=F("next_at") - minutes * MINUTE)


def ends(job: Job) -> list[tuple[str, str]]:
    return list(JobRun.objects.filter(job=job).order_by("slot_at").values_list("status", "error_type"))


def test_a_new_job_knows_its_next_slot(jobs: dict[str, Job]) -> None:
    scheduling.open_slots()
    jobs["quiet"].refresh_from_db()
    jobs["broken"].refresh_from_db()
    assert jobs["quiet"].next_at is not None
    assert jobs["broken"].next_at is None


def test_a_slot_becomes_one_run_however_often_it_is_opened(jobs: dict[str, Job]) -> None:
    passed(jobs["quiet"], 1)
    before = Job.objects.get(slug="quiet").next_at
    scheduling.open_slots()
    Job.objects.filter(slug="quiet").update(next_at=before)  # as a beat that was killed before it wrote this
    scheduling.open_slots()
    assert ends(jobs["quiet"]) == [("queued", "")]


def test_each_tenant_has_its_own_run_of_a_slot(jobs: dict[str, Job]) -> None:
    Tenant.objects.bulk_create(Tenant(slug=slug, name=slug) for slug in ("acme", "bolt"))
    scheduling.open_slots()
    Job.objects.filter(slug="nightly").update(next_at=Now() - MINUTE)
    scheduling.open_slots()
    assert ends(jobs["nightly"]) == [("queued", "")] * 2


def test_of_the_missed_slots_the_last_is_made_up(jobs: dict[str, Job]) -> None:
    Job.objects.filter(slug="quiet").update(grace_seconds=15)
    passed(jobs["quiet"], 4)
    scheduling.open_slots()
    assert ends(jobs["quiet"])[:3] == [("superseded", "missed")] * 3
    assert JobRun.objects.filter(job=jobs["quiet"], status="queued").count() == 1


def test_missed_slots_stay_missed_where_the_policy_says_so(jobs: dict[str, Job]) -> None:
    Job.objects.filter(slug="nightly").update(misfire="skip")
    scheduling.open_slots()
    Job.objects.filter(slug="nightly").update(next_at=Now() - dt.timedelta(hours=5))
    scheduling.open_slots()
    assert {*ends(jobs["nightly"])} == {("superseded", "missed")}


def test_a_slot_that_meets_a_run_is_left_out(jobs: dict[str, Job]) -> None:
    scheduling.run_now("quiet", ROOT)
    execution.claim()
    passed(jobs["quiet"], 1)
    scheduling.open_slots()
    (left,) = JobRun.objects.exclude(slot_at=None)
    assert (left.status, left.last_error) == ("superseded", "Left out: the run before was still under way.")


def test_a_slot_that_meets_a_run_waits_where_the_policy_says_so(jobs: dict[str, Job]) -> None:
    Job.objects.filter(slug="quiet").update(overlap="wait")
    scheduling.run_now("quiet", ROOT)
    execution.claim()
    passed(jobs["quiet"], 1)
    scheduling.open_slots()
    assert JobRun.objects.exclude(slot_at=None).get().status == "queued"
    assert execution.claim() is None


def test_a_job_that_is_resumed_makes_up_nothing(jobs: dict[str, Job]) -> None:
    passed(jobs["quiet"], 30)
    one = Selection.ticked(Job, [jobs["quiet"].pk])
    run(Job.pause, one, ROOT, given={"reason": "the ERP moves house"})
    scheduling.open_slots()
    run(Job.resume, one, ROOT)
    scheduling.open_slots()
    assert ends(jobs["quiet"]) == []


def test_a_changed_schedule_is_planned_anew(jobs: dict[str, Job]) -> None:
    scheduling.open_slots()
    job = Job.objects.get(slug="nightly")
    before, job.cron = job.next_at, "30 5 * * *"
    job.save()
    scheduling.open_slots()
    job.refresh_from_db()
    assert before is not None
    assert job.next_at is not None
    assert (job.next_at - before) % dt.timedelta(days=1) == dt.timedelta(hours=2, minutes=30)


def test_migrate_changes_no_job_that_is_there(jobs: dict[str, Job]) -> None:
    Job.objects.filter(slug="quiet").update(every_seconds=90)
    Job.objects.filter(slug="slow").delete()
    assert scheduling.make_missing() == 1
    assert Job.objects.get(slug="quiet").every_seconds == 90


@pytest.mark.parametrize("tenant", ["nobody", "away"])
def test_a_job_is_not_run_for_a_tenant_that_is_not_carried(jobs: dict[str, Job], tenant: str) -> None:
    Tenant.objects.create(slug="away", name="Away", status="paused", paused_reason="has left")
    with pytest.raises(Refused, match=r"no tenant nobody|has left"):
        scheduling.run_now("nightly", ROOT, tenant=tenant)
    assert not JobRun.objects.exists()


def test_a_run_that_nobody_begins_is_late(jobs: dict[str, Job]) -> None:
    scheduling.run_now("quiet", ROOT)
    assert lateness().runs == 0
    JobRun.objects.update(due_at=Now() - 6 * MINUTE)
    assert (lateness().runs, lateness().since) == (1, JobRun.objects.get().due_at)


def test_a_slot_that_nothing_opens_is_late_after_three_ticks(jobs: dict[str, Job]) -> None:
    Job.objects.filter(slug="quiet").update(next_at=Now() - dt.timedelta(seconds=14))
    assert lateness().slots == 0
    Job.objects.filter(slug="quiet").update(next_at=Now() - dt.timedelta(seconds=16))
    assert lateness().slots == 1


def test_what_was_missed_is_told_for_a_day(jobs: dict[str, Job]) -> None:
    passed(jobs["quiet"], 10)
    scheduling.open_slots()
    assert lateness().missed == 5
