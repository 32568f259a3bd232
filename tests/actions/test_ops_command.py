import io
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from apps.actions.models import ActionRun
from apps.operations.models import PendingOperation
from tests.cast import Company, refreshed

pytestmark = pytest.mark.django_db


def ops(*words: str) -> tuple[str, str, int]:
    """Run the command; return what it says, what it refuses, and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("ops", *words, stdout=out, stderr=err)
    except CommandError as error:
        return out.getvalue(), err.getvalue() + str(error), error.returncode
    except SystemExit as end:
        return out.getvalue(), err.getvalue(), int(end.code or 0)
    return out.getvalue(), err.getvalue(), 0


def test_it_moves_rows_by_id_and_ends_well(company: Company) -> None:
    ids = [str(operation.pk) for operation in company.operations["failed"]]
    out, err, code = ops("retry", "pending-operations", *ids, "--note", "stage added")
    assert ("2 of 2 rows moved" in out, err, code) == (True, "", 0)
    assert {operation.status for operation in refreshed(company.operations["failed"])} == {"pending"}


def test_the_run_says_who_and_by_which_door(company: Company) -> None:
    ops("retry", "pending-operations", str(company.operations["failed"][0].pk), "--note", "stage added")
    run = ActionRun.objects.get(verb="retry")
    assert (run.door, run.given, bool(run.actor_name)) == ("command", {"note": "stage added"}, True)


def test_it_moves_all_that_match_and_says_what_was_refused(company: Company) -> None:
    out, err, code = ops("reset", "pending-operations", "--filter", "status=failed", "service=piperun")
    assert ("2 of 3 rows moved" in out, code) == (True, 1)
    assert "1 refused: outcome unknown" in err


def test_a_dry_run_changes_nothing(company: Company) -> None:
    out, _err, code = ops("reset", "pending-operations", "--filter", "status=failed", "--dry-run")
    assert ("2 of 3 rows would move" in out, code) == (True, 0)
    assert not ActionRun.objects.filter(verb="reset").exists()


def test_a_row_that_may_not_move_is_refused_in_the_verbs_sentence(company: Company) -> None:
    operation = company.operations["completed"][0]
    _out, err, code = ops("retry", "pending-operations", str(operation.pk))
    assert (f"{operation} is completed; retry needs failed" in err, code) == (True, 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["retri", "pending-operations", "--all"], "did you mean retry?"),
        (["retry", "pending-operation", "--filter", "sttus=failed"], "did you mean status?"),
        (["retry", "pending-opperations", "--all"], "did you mean pending-operations?"),
        (["retry", "pending-operations", "--filter", "failed"], "has no ="),
        (["retry", "pending-operations"], "Say which rows"),
        (["retry", "pending-operations", "nonsense"], "An id looks like"),
        (["retry", "pending-operations", "0192f0c1-2b3c-7def-8a90-0123456789ab"], "are not there"),
        (["archive", "pending-operations", "--all"], "needs a reason"),
        (["pause", "queues", "--all", "--reason", "x", "--until", "yesterday"], "a moment in the future"),
    ],
)
def test_a_wrong_asking_ends_with_two_and_says_what_is_wrong(words: list[str], said: str) -> None:
    _out, err, code = ops(*words)
    assert (said in err, code) == (True, 2)


def test_nouns_go_by_their_singular_and_verbs_with_a_dash(company: Company) -> None:
    out, _err, code = ops("send-again", "pending-operation", "--filter", "class=ambiguous", "--reason", "not there")
    assert ("1 of 1 rows moved" in out, code) == (True, 0)


def test_a_large_run_is_driven_here_without_a_worker(empty_company: Company) -> None:
    empty_company.failed(1001)
    out, _err, code = ops("retry", "pending-operations", "--filter", "status=failed")
    assert ("1001 of 1001 rows moved" in out, code) == (True, 0)
    assert PendingOperation.objects.filter(status="pending").count() == 1001


def test_a_paced_run_without_a_canary_goes_at_its_rate(empty_company: Company) -> None:
    empty_company.failed(3)
    _out, _err, code = ops("retry", "pending-operations", "--filter", "status=failed", "--rate", "100")
    assert (code, ActionRun.objects.get(verb="retry").rate_per_second) == (0, 100)


@pytest.mark.django_db(transaction=True)
def test_a_refusal_goes_to_stderr_of_the_real_program() -> None:
    words = [sys.executable, "manage.py", "ops", "retry", "pending-operations"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 # our own program
    assert (done.returncode, done.stdout) == (2, "")
    assert "Say which rows" in done.stderr
