import io
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from apps.actions.models import ActionRun
from apps.integrations.models import Service
from tests.simulator_process import Simulator

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def piperun(simulator: Simulator, tmp_path: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Piperun with the right token in its secret file."""
    settings.DATA_DIR = tmp_path
    service = Service.objects.create(
        slug="piperun",
        name="Piperun",
        connector="piperun",
        base_url=simulator.piperun,
        credentials={"token": "PIPERUN_API_TOKEN"},
        allowed_networks=["127.0.0.0/8"],
    )
    rotate(simulator.token(), monkeypatch)
    return service


def rotate(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(token))
    call_command("set_credential", "piperun", stdout=io.StringIO())


def probe() -> tuple[str, int]:
    out = io.StringIO()
    try:
        call_command("probe", "piperun", stdout=out)
    except SystemExit as end:
        return out.getvalue(), int(end.code or 0)
    return out.getvalue(), 0


def test_a_probe_says_that_the_service_answers_and_takes_our_token(piperun: Service) -> None:
    said, code = probe()
    piperun.refresh_from_db()
    assert (code, piperun.probe_ok) == (0, True)
    assert "it took our credential" in said


def test_a_dead_token_shows_and_a_rotated_one_is_taken_without_a_restart(
    piperun: Service, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = simulator.rotate_token()
    said, code = probe()
    assert (code, "401" in said) == (1, True)
    rotate(fresh, monkeypatch)
    assert probe()[1] == 0


def test_a_service_that_is_down_shows(piperun: Service, simulator: Simulator) -> None:
    simulator.outage()
    assert probe()[1] == 1


def test_who_asked_is_kept(piperun: Service) -> None:
    probe()
    assert ActionRun.objects.get(verb="probe").door == "command"


def test_an_unknown_service_is_refused_with_the_nearest(piperun: Service) -> None:
    with pytest.raises(CommandError, match=r"did you mean piperun\?"):
        call_command("probe", "piprun")
