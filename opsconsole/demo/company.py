"""The demo company's own things: services that the simulator plays, queues, people and a key."""

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes, token_urlsafe
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.integrations import keys
from apps.integrations.models import CircuitBreaker, Service
from apps.integrations.proofs import MARK
from apps.jobs.models import Queue
from opsconsole.datafolder import made_once
from opsconsole.demo import far_end

CRM, ERP, MESSAGES = "piperun", "erp", "messages"
PARTNER, PARTNER_SECRET = "partner", "PARTNER_WEBHOOK_SECRET"
"""The one that signs what it sends, by Standard Webhooks, and the name of its secret."""
ALIASES = {CRM: ["crm"], MESSAGES: ["whatsapp"]}
"""By these names runbook 1 knows them."""
INTERNAL = {
    "operacao": gettext_lazy("Operations, scheduling of visits"),
    "financeiro": gettext_lazy("Finance, billing and payments"),
    "cuidadores": gettext_lazy("Carers, registration and documents"),
    "atendimento": gettext_lazy("Customer care"),
    "marketing": gettext_lazy("Marketing, campaigns and leads"),
    "site": gettext_lazy("The website"),
    "documentos": gettext_lazy("Documents and contracts"),
}
"""The company's own systems, as runbook 1 names them."""
TENANTS = ("aurora", "brisa", "cedro")
"""The shops whose ERPs are read, each a service of its own."""
HURRIED = {"rate_per_second": 10_000, "burst": 10_000}
"""While the past is made."""
DEMO_PACE = {"rate_per_second": 50, "burst": 50}
UNSHAKEN, SHAKEN_BY = 1000, 5
"""How many failures open a breaker while the past is made, and afterwards."""
PROBED_EVERY = 15
"""Seconds between the probes of an open breaker: the tour should not wait for minutes."""


@dataclass(frozen=True)
class Company:
    """What the past is made of."""

    crm: Service
    erp: Service
    messages: Service
    crm_queue: Queue
    billing: Queue
    notifications: Queue
    statements: Queue
    ana: User


def found() -> Company:
    """Make the company, with nothing done yet."""
    for name, service in {"PIPERUN_API_TOKEN": CRM, "ERP_API_TOKEN": ERP}.items():
        keep(settings.DATA_DIR / "credentials" / name, far_end.token(service))
    keep(settings.DATA_DIR / "credentials" / PARTNER_SECRET, MARK + b64encode(token_bytes(32)).decode())
    far_end.conditions(ERP, checks_token=True)
    _person("bia", "Viewer")
    _make_key()
    for slug, words in INTERNAL.items():
        _internal(slug, str(words))
    return Company(
        crm=_crm(),
        erp=_receiver(ERP, _("ERP, for invoices"), credentials={"token": "ERP_API_TOKEN"}),
        messages=_receiver(MESSAGES, _("Messages to customers")),
        crm_queue=_queue("crm", _("What goes to the CRM")),
        billing=_queue("billing", _("Invoices for the ERP")),
        notifications=_queue("notifications", _("Messages to customers")),
        statements=_queue("statements", _("Statements of the month")),
        ana=_person("ana", "Operator"),
    )


def slow_down() -> None:
    """End the hurry of the making: from now on calls go out, and are answered, at the pace of a real day."""
    Service.objects.update(**DEMO_PACE)
    CircuitBreaker.objects.update(failures=0, failure_threshold=SHAKEN_BY)
    far_end.conditions(CRM, latency={"p50_seconds": 0.15, "p95_seconds": 0.8, "max_seconds": 5})
    far_end.conditions(MESSAGES, latency={"p50_seconds": 0.05, "p95_seconds": 0.2, "max_seconds": 2})


def played(slug: str) -> Service | None:
    """Return a service where the simulator plays it: nothing here may touch a real one."""
    if not settings.SIMULATOR_URL:
        return None
    return Service.objects.select_related("breaker").filter(slug=slug, base_url=_address(slug)).first()


def follow_the_simulator() -> None:
    """Point the services at where the simulator is now; it may have had to take another port."""
    for slug in (CRM, ERP, MESSAGES, *INTERNAL, *(f"{ERP}-{tenant}" for tenant in TENANTS)):
        formerly = rf"^http://127\.0\.0\.1:\d+{_path(slug)}$"
        for service in Service.objects.filter(slug=slug, base_url__regex=formerly).exclude(base_url=_address(slug)):
            options = service.options | (_record_url() if slug == CRM else {})
            Service.objects.filter(pk=service.pk).update(base_url=_address(slug), options=options)


def _crm() -> Service:
    crm = service_of(
        CRM,
        name=_("Piperun, the CRM"),
        connector="piperun",
        credentials={"token": "PIPERUN_API_TOKEN"},
        options=_record_url(),
    )
    breaker = CircuitBreaker.objects.filter(service=crm)
    breaker.update(timeout_seconds=PROBED_EVERY, timeout_cap_seconds=PROBED_EVERY, failure_threshold=UNSHAKEN)
    return crm


def _receiver(slug: str, name: str, **columns: Any) -> Service:
    return service_of(slug, name=name, connector="http", options={"honours_key": True}, **columns)


def _internal(slug: str, name: str) -> Service:
    options = {"honours_key": True, "path": "api/events", "probe_path": "health", "changes_path": "api/changes"}
    return service_of(slug, name=name, connector="http", options=options)


def service_of(slug: str, **columns: Any) -> Service:
    """Make a service that the simulator plays."""
    return Service.objects.create(
        slug=slug,
        aliases=ALIASES.get(slug, []),
        base_url=_address(slug),
        allowed_networks=[far_end.LOOPBACK],
        **HURRIED,
        **columns,
    )


def _address(slug: str) -> str:
    return f"{settings.SIMULATOR_URL}{_path(slug)}"


def _path(slug: str) -> str:
    if slug in INTERNAL:
        return f"/internal/{slug}"
    if slug.startswith(f"{ERP}-"):
        return "/millennium/api/millenium_eco"
    return "/piperun/v1" if slug == CRM else f"/http/{slug}"


def _record_url() -> dict[str, str]:
    return {"record_url": settings.SIMULATOR_URL + "/piperun/{resource}/{id}"}


def _queue(slug: str, name: str) -> Queue:
    return Queue.objects.get_or_create(slug=slug, defaults={"name": name})[0]


def _person(name: str, group: str) -> User:
    """Return a member of staff; all of them have the administrator's password, so that each can be tried."""
    password = settings.DATA_DIR / "admin-password"
    person = User.objects.create_user(name, is_staff=True, password=password.read_text().strip())
    person.groups.add(Group.objects.get(name=group))
    return person


def _make_key() -> None:
    plain = made_once(settings.DATA_DIR / "demo-api-key", lambda: keys.MARK + token_urlsafe(32))
    group = Group.objects.get(name="Operator")
    keys.make(_("demo"), group, plain=plain)


def keep(path: Path, secret: str) -> None:
    """Put a secret where the console reads it."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.unlink(missing_ok=True)
    made_once(path, lambda: secret)
