from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.actions.running import run
from apps.integrations import breakers
from apps.integrations.models import CircuitBreaker, Service
from tests.cast import ROOT, Company
from tests.contracts.world import one


@pytest.fixture
def breaker(company: Company) -> CircuitBreaker:
    Service.objects.filter(pk=company.piperun.pk).update(aliases=["crm"])
    return CircuitBreaker.objects.get(service=company.piperun)


def trip(breaker: CircuitBreaker) -> None:
    breakers.trip(breaker, "5 calls in a row failed", 60)


def watched(*words: str) -> list[str]:
    out = StringIO()
    call_command("watch_breaker", "crm", "--every", "0.2", "--minutes", "0.01", *words, stdout=out)
    return out.getvalue().splitlines()


def test_it_writes_a_line_at_each_turn_and_ends_well_where_it_stays_closed(breaker: CircuitBreaker) -> None:
    *lines, last = watched()
    assert len(lines) >= 3
    assert all("piperun closed, 2 wait" in line for line in lines)
    assert "0 calls, 0 failed" in lines[1]
    assert "did not open again" in last


def test_one_that_opens_again_ends_it_with_1(breaker: CircuitBreaker, monkeypatch: pytest.MonkeyPatch) -> None:
    trip(breaker)
    run(CircuitBreaker.reset, one(CircuitBreaker, breaker), ROOT)
    monkeypatch.setattr("time.sleep", lambda _seconds: trip(breaker))
    with pytest.raises(CommandError, match="opened again after") as ended:
        watched()
    assert ended.value.returncode == 1


def test_one_that_does_not_close_ends_it_with_1(breaker: CircuitBreaker) -> None:
    trip(breaker)
    with pytest.raises(CommandError, match="has not closed: it is open") as ended:
        watched()
    assert ended.value.returncode == 1


def test_an_unknown_name_is_answered_with_the_nearest(breaker: CircuitBreaker) -> None:
    with pytest.raises(CommandError, match="did you mean crm"):
        call_command("watch_breaker", "crmm")


@pytest.mark.parametrize("words", [("--every", "0"), ("--every", "nan"), ("--minutes", "-1"), ("--minutes", "inf")])
def test_a_strange_rhythm_is_refused(breaker: CircuitBreaker, words: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match="--every takes"):
        call_command("watch_breaker", "crm", *words)


def test_ctrl_c_ends_it_without_a_trace(breaker: CircuitBreaker, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    with pytest.raises(SystemExit) as ended:
        watched()
    assert ended.value.code == 130
