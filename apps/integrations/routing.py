"""What becomes of an event: the endpoints that take it, and the operation each makes of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.utils.translation import gettext as _

from apps.integrations.connectors import CONNECTORS, OrderRefused, canonical, checked
from apps.integrations.mapping import (
    Allowance,
    Mapped,
    Rule,
    WrongExpression,
    WrongMapping,
    holds,
    mapped,
    rules_of,
    worked_out,
)
from apps.integrations.models import Endpoint, MappingVersion
from apps.jobs.models import Tenant

LONGEST_ID = 200


class Source(Protocol):
    """Who told an event."""

    @property
    def slug(self) -> str:
        """Its name."""


class Routable(Protocol):
    """What routing must know of an event."""

    @property
    def source(self) -> Source:
        """Who told it."""

    @property
    def event_type(self) -> str:
        """What kind of thing happened."""

    @property
    def subject(self) -> str:
        """What it happened to."""

    @property
    def data(self) -> Any:
        """The parsed JSON."""


class MappingFailed(Exception):
    """An event cannot become what an endpoint says. The text names the endpoint, the field and the expression, no value."""


class EndpointPaused(MappingFailed):
    """An endpoint that takes the event is paused: the event waits, or is replayed once it is resumed."""


@dataclass(frozen=True)
class Routed:
    """An operation that an event becomes, by which version of whose mapping."""

    endpoint: Endpoint
    version: MappingVersion
    service: str
    operation_type: str
    payload: dict[str, Any]
    entity_type: str
    entity_id: str
    tenant: str
    queue: str


@dataclass(frozen=True)
class Trial:
    """What an endpoint would make of an event by a mapping, and everything that stands against it.

    `errors` are sentences by target, or by the endpoint's own field (`condition`, `tenant_expression`, …);
    `refused` is what the connector would refuse, by field of the payload.
    """

    applies: bool
    operation_type: str
    mapped: Mapped = field(default_factory=Mapped)
    entity_type: str = ""
    entity_id: str = ""
    tenant: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    refusal: str = ""
    refused: dict[str, list[str]] = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        """What stands against it, each in a sentence."""
        told = [f"{name}: {why}" if name else why for name, why in (self.errors | self.mapped.errors).items()]
        return [*told, *([self.refusal] if self.refusal else [])]


def routed(event: Routable) -> list[Routed]:
    """Return the operations that an event becomes; none where no endpoint takes it.

    Raises `MappingFailed` where one of them cannot be made: then none is, and a replay makes no doubles.
    """
    endpoints = endpoints_for(event.source.slug, event.event_type)
    return routed_by(endpoints, newest_versions(endpoints), event)


def routed_by(endpoints: Iterable[Endpoint], versions: Mapping[Any, MappingVersion], event: Routable) -> list[Routed]:
    """Do `routed` with the endpoints that take such events, and their mappings: many events alike read them once."""
    context = context_of(event)
    made = (_routed(endpoint, versions.get(endpoint.pk), context) for endpoint in endpoints)
    return [one for one in made if one is not None]


def endpoints_for(source: str, event_type: str) -> list[Endpoint]:
    """Return the endpoints, paused ones too, that take events of a type from a source."""
    taking = Endpoint.objects.filter(source__in=("", source), event_type__in=_patterns(event_type))
    return list(taking.select_related("service", "queue", "tenant").order_by("slug"))


def newest_versions(endpoints: Iterable[Endpoint]) -> dict[Any, MappingVersion]:
    """Return the mapping in force of each endpoint by the endpoint's key, in one query."""
    versions = MappingVersion.objects.filter(endpoint__in=list(endpoints)).order_by("endpoint_id", "-number")
    return {version.endpoint_id: version for version in versions.distinct("endpoint_id")}


def context_of(event: Routable) -> dict[str, Any]:
    """Return an event as expressions see it."""
    return {
        "type": event.event_type,
        "source": event.source.slug,
        "subject": event.subject,
        "data": event.data,
    }


def tried(endpoint: Endpoint, rules: Sequence[Rule], context: Mapping[str, Any]) -> Trial:
    """Return what an endpoint makes of an event by these rules. Nothing is raised and nothing is written."""
    spent, errors = Allowance(), dict[str, str]()
    name = canonical(endpoint.operation_type)
    applies = not endpoint.condition or holds(_worked_out(endpoint, "condition", context, spent, errors))
    if errors or not applies:
        return Trial(applies, name, errors=errors)
    made = mapped(rules, context, spent)
    tenant = _tenant(endpoint, context, spent, errors)
    entity_id = _name(endpoint, "entity_id_expression", context, spent, errors)
    refusal, refused = ("", {}) if made.errors else _refused(endpoint, made.payload)
    return Trial(applies, name, made, _entity(endpoint, name), entity_id, tenant, errors, refusal, refused)


def _routed(endpoint: Endpoint, version: MappingVersion | None, context: Mapping[str, Any]) -> Routed | None:
    """Return what one endpoint makes of an event, or nothing where its condition does not hold."""
    trial = tried(endpoint, _rules(endpoint, version), context)
    if not trial.applies and not trial.failures:
        return None
    if endpoint.status == Endpoint.Status.PAUSED:
        told = {"endpoint": endpoint, "reason": endpoint.paused_reason}
        raise EndpointPaused(
            _("The endpoint %(endpoint)s is paused: %(reason)s. Replay the event once it is resumed.") % told
        )
    if trial.failures or version is None:
        told = {"endpoint": endpoint, "number": version.number if version else 0, "why": "; ".join(trial.failures)}
        raise MappingFailed(_("Endpoint %(endpoint)s, mapping version %(number)s: %(why)s") % told)
    return Routed(
        endpoint=endpoint,
        version=version,
        service=endpoint.service.slug,
        operation_type=trial.operation_type,
        payload=trial.mapped.payload,
        entity_type=trial.entity_type,
        entity_id=trial.entity_id,
        tenant=trial.tenant,
        queue=endpoint.queue.slug if endpoint.queue else "",
    )


def _rules(endpoint: Endpoint, version: MappingVersion | None) -> list[Rule]:
    if version is None:
        raise MappingFailed(
            _("The endpoint %(endpoint)s has no mapping yet. Give it one on its page.") % {"endpoint": endpoint}
        )
    try:
        return rules_of(version.fields)
    except WrongMapping as error:  # a version from before a rule of ours became stricter
        told = {"endpoint": endpoint, "number": version.number, "why": error}
        raise MappingFailed(_("Endpoint %(endpoint)s, mapping version %(number)s: %(why)s") % told) from error


def _patterns(event_type: str) -> list[str]:
    """Return every pattern that takes a type, so that an index finds them: itself, and each beginning with a star."""
    return [event_type, *(f"{event_type[:length]}*" for length in range(len(event_type) + 1))]


def _worked_out(
    endpoint: Endpoint, column: str, context: Mapping[str, Any], spent: Allowance, errors: dict[str, str]
) -> Any:
    """Work out one of the endpoint's own expressions; what is wrong with it stands in `errors`."""
    expression = getattr(endpoint, column)
    try:
        return worked_out(expression, context, spent)
    except WrongExpression as error:
        errors[column] = f"{expression}: {error}"
        return None


def _name(endpoint: Endpoint, column: str, context: Mapping[str, Any], spent: Allowance, errors: dict[str, str]) -> str:
    """Work out an expression that gives a name: a text or a whole number, of bounded length; nothing where it finds none."""
    expression = getattr(endpoint, column)
    value = _worked_out(endpoint, column, context, spent, errors) if expression else None
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > LONGEST_ID:
        errors[column] = _("%(expression)s: gives no text or whole number of at most %(most)s characters") % {
            "expression": expression,
            "most": LONGEST_ID,
        }
        return ""
    return str(value)


def _tenant(endpoint: Endpoint, context: Mapping[str, Any], spent: Allowance, errors: dict[str, str]) -> str:
    """Return the tenant's name. One that should come out of the event and does not is an error: its work must be holdable."""
    if endpoint.tenant:
        return endpoint.tenant.slug
    slug = _name(endpoint, "tenant_expression", context, spent, errors)
    if endpoint.tenant_expression and not errors and not Tenant.objects.filter(slug=slug).exists():
        told = {"expression": endpoint.tenant_expression}
        errors["tenant_expression"] = _("%(expression)s: gives no tenant that there is") % told
    return slug


def _refused(endpoint: Endpoint, payload: Mapping[str, Any]) -> tuple[str, dict[str, list[str]]]:
    """Return why the connector would refuse a payload, as a sentence and by field."""
    connector = CONNECTORS.get(endpoint.service.connector)
    if connector is None:
        return _("There is no connector %(name)s.") % {"name": endpoint.service.connector}, {}
    try:
        checked(connector, endpoint.operation_type, payload)
    except OrderRefused as error:
        return error.message, error.errors
    return "", {}


def _entity(endpoint: Endpoint, name: str) -> str:
    connector = CONNECTORS.get(endpoint.service.connector)
    return connector.operations[name].entity if connector and name in connector.operations else ""
