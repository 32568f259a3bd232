"""The cast: Ana may, Bia may look, Caio may not; and one demo company."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Group, User
from django.utils import translation
from hypothesis import HealthCheck, settings

from apps.actions import leases
from apps.actions.actors import Actor
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.integrations import admission
from apps.integrations.admission import Limit
from apps.integrations.models import CircuitBreaker, RateLimit, Service
from apps.jobs import retention
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from opsconsole import vitals
from tests.cast import FOUND, REFUSED, ROOT, UNANSWERED, Company, failing, take

# A busy machine fails no test: hypothesis would, for examples that take longer than usual.
settings.register_profile("untimed", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

pytest_plugins = ["tests.api", "tests.shipped", "tests.simulator_process", "tests.chaos.score", "tests.together"]


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """A request leaves its reader's language behind in the thread: each test begins in English again."""
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def roomy_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests come faster than people, and all from one address; those of the limits themselves ask for `real_limits`."""
    roomy = {name: Limit(name, 1_000_000, 1) for name in RateLimit.Name.values}
    monkeypatch.setattr(admission, "_limits", SimpleNamespace(now=lambda: roomy))


@pytest.fixture(autouse=True)
def patient_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no sick one: checks have more than their second; those of the deadline itself set their own."""
    monkeypatch.setattr(vitals, "DEADLINE_SECONDS", 20.0)


@pytest.fixture(autouse=True)
def policies_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the two seconds that a process goes by its policies may end between two counts of queries."""
    monkeypatch.setattr(retention, "KNOWN_SECONDS", 3600.0)
    monkeypatch.setattr(retention, "_known_until", 0.0)


@pytest.fixture
def ana(db: None) -> User:
    return _person("ana", "Supervisor")


@pytest.fixture
def bia(db: None) -> User:
    return _person("bia", "Viewer")


@pytest.fixture
def caio(db: None) -> User:
    return _person("caio")


@pytest.fixture
def as_ana(ana: User) -> Actor:
    return Actor.of_user(ana)


@pytest.fixture
def as_bia(bia: User) -> Actor:
    return Actor.of_user(bia)


@pytest.fixture
def as_caio(caio: User) -> Actor:
    return Actor.of_user(caio)


@pytest.fixture
def as_root() -> Actor:
    """Whoever holds the machine."""
    return ROOT


@pytest.fixture
def empty_company(db: None) -> Company:
    """The services and queues alone."""
    piperun = _service("piperun", "Piperun, the CRM", connector="piperun", base_url="http://crm.example.com")
    erp = _service("erp", "The books", connector="http", base_url="http://erp.example.com")
    crm, books = (Queue.objects.get_or_create(slug=slug, defaults={"name": slug})[0] for slug in ("crm", "books"))
    return Company(piperun, erp, crm, books)


@pytest.fixture
def company(empty_company: Company) -> Company:
    """Two operations in each state, and one for another service in another queue. Most tests ask for it: few statements make it."""
    company = empty_company
    made = {name: [company.new(), company.new()] for name in ("pending", "processing", "completed", "failed")}
    made |= {"ambiguous": [company.new()], "archived": [company.new(), company.new()]}
    made |= {"elsewhere": [company.new(service=company.erp, queue=company.books, operation_type="invoice.post")]}
    PendingOperation.objects.bulk_create(row for rows in made.values() for row in rows)
    take(made["processing"])
    _carry(made)
    archived = Selection.ticked(PendingOperation, [operation.pk for operation in made["archived"]])
    run(PendingOperation.archive, archived, ROOT, given={"reason": "the customer withdrew"})
    now = PendingOperation.objects.in_bulk()
    company.operations.update({name: [now[row.pk] for row in rows] for name, rows in made.items()})
    return company


def _carry(made: dict[str, list[PendingOperation]]) -> None:
    """Call for those that are to be completed and those that are to fail, as one worker does in one turn."""
    refused = [*made["failed"], *made["archived"]]
    token, _keys = take([*made["completed"], *refused, *made["ambiguous"]])
    leases.finish(PendingOperation.complete, {row.pk: FOUND for row in made["completed"]}, token)
    ends = {row.pk: failing(REFUSED) for row in refused} | {row.pk: failing(UNANSWERED) for row in made["ambiguous"]}
    leases.finish(PendingOperation.fail, ends, token)


def _person(name: str, *groups: str) -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


def _service(slug: str, name: str, **columns: str) -> Service:
    service, _made = Service.objects.get_or_create(slug=slug, defaults={"name": name, **columns})
    CircuitBreaker.objects.get_or_create(service=service)
    return service
