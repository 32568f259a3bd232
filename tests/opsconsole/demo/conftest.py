from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client, override_settings
from pytest_django import DjangoDbBlocker

from apps.integrations.models import Service
from opsconsole.demo import seeding
from tests.simulator_process import Simulator

OPERATIONS = 150


@pytest.fixture(scope="module")
def beside_a_simulator(
    simulator_process: Simulator,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Simulator]:
    """An empty database beside a simulator, as at the first start; it is as it was when the module has ended."""
    data: Path = tmp_path_factory.mktemp("data")
    (data / "admin-password").write_text("made once, for the demo")
    simulator_process.reset()
    settings = override_settings(SIMULATOR_URL=simulator_process.url, DATA_DIR=data)
    with settings, django_db_blocker.unblock(), transaction.atomic():
        yield simulator_process
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def made(beside_a_simulator: Simulator) -> Simulator:
    """The demo company after a quiet day, once for the tests of a module."""
    seeding.seed(OPERATIONS)
    return beside_a_simulator


@pytest.fixture
def played(beside_a_simulator: Simulator, db: None) -> Simulator:
    """The simulator, and a database that each test finds as the module left it."""
    return beside_a_simulator


@pytest.fixture
def seeded(made: Simulator, db: None) -> Simulator:
    """The demo company as it was made."""
    return made


@pytest.fixture
def as_operator(seeded: Simulator, client: Client) -> Client:
    """The demo company's Ana, signed in."""
    client.force_login(User.objects.get(username="ana"))
    return client


@pytest.fixture
def hurried(as_operator: Client) -> Client:
    """No waiting for the pace to climb after the breaker has closed."""
    Service.objects.update(rate_per_second=5000, burst=5000)
    return as_operator
