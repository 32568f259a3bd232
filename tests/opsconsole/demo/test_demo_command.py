import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import Settings

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.simulator_process import Simulator


def test_a_database_in_use_is_left_alone(played: Simulator) -> None:
    Service.objects.create(slug="real", connector="http", base_url="https://example.com")
    call_command("demo")
    assert (PendingOperation.objects.count(), Queue.objects.filter(slug="statements").count()) == (0, 0)


def test_production_has_no_demo_company(played: Simulator, settings: Settings) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="for development"):
        call_command("demo")


def test_without_a_simulator_there_is_no_demo_company(played: Simulator, settings: Settings) -> None:
    settings.SIMULATOR_URL = ""
    with pytest.raises(CommandError, match="needs the simulator"):
        call_command("demo")


def test_a_simulator_that_does_not_answer_is_named_and_nothing_is_made(played: Simulator, settings: Settings) -> None:
    settings.SIMULATOR_URL = "http://127.0.0.1:9"
    with pytest.raises(CommandError, match=r"127\.0\.0\.1:9"):
        call_command("demo")
    assert not Service.objects.exists()
