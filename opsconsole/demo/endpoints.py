"""The demo company's endpoints: what the events of its site, its checkout and its conversations become."""

from typing import Any

from django.utils.translation import gettext as _

from apps.integrations.models import Endpoint, EventSource
from apps.integrations.models.event import Scheme
from opsconsole.demo.company import PARTNER, PARTNER_SECRET, Company

ORIGINS = "lookup(`{\"site\": 1, \"fair\": 2}`, data.origin) || `1`"  # fmt: skip
STAGES = "lookup(`{\"hot\": 11, \"cold\": 10}`, data.interest) || `10`"  # fmt: skip
LEAD: dict[str, Any] = {
    "title": {"from": "join(' · ', [data.product, trim(data.name)])"},
    "pipeline_id": {"value": 1},
    "stage_id": {"from": STAGES},
    "origin_id": {"from": ORIGINS},
    "value": {"from": "data.value", "optional": True},
}
CONTACT: dict[str, Any] = {
    "name": {"from": "trim(data.name)"},
    "origin_id": {"from": ORIGINS},
    "phone": {"from": "data.phone && digits(data.phone)", "optional": True},
}
ORDER: dict[str, Any] = {
    "customer": {"from": "data.customer.name"},
    "items": {"from": "data.items[*].{name: title, price: price}"},
    "due_days": {"value": 30},
}
TALK: dict[str, Any] = {
    "text": {"from": "trim(data.text)"},
    "deal_id": {"from": "to_number(data.deal_id)"},
}
REFERRAL: dict[str, Any] = {
    "name": {"from": "trim(data.name)"},
    "phone": {"from": "data.phone && digits(data.phone)", "optional": True},
}


def make(company: Company) -> None:
    """Make the sources and the endpoints, each with the first version of its mapping."""
    secret = {"current": PARTNER_SECRET}
    EventSource.objects.create(slug=PARTNER, name=_("A partner"), scheme=Scheme.STANDARD, credentials=secret)
    for slug, name in {"site": _("The website"), "checkout": _("The checkout"), "talks": _("Conversations")}.items():
        EventSource.objects.get_or_create(slug=slug, defaults={"name": name, "scheme": Scheme.KEY})
    crm, erp = {"service": company.crm, "queue": company.crm_queue}, {"service": company.erp, "queue": company.billing}
    _make(
        "site", "lead.created", "deal.create", LEAD, slug="site-leads", name=_("Leads of the site become deals"), **crm
    )
    _make("site", "contact.*", "person.create", CONTACT, slug="site-contacts", name=_("Contacts become persons"), **crm)
    _make(
        "checkout", "order.paid", "http.post", ORDER, slug="paid-orders", name=_("Paid orders become invoices"), **erp
    )
    referred = {"slug": "partner-referrals", "name": _("Referrals of the partner become persons")}
    _make(PARTNER, "referral.*", "person.create", REFERRAL, **referred, **crm)
    noted = {"slug": "talk-notes", "name": _("What was said becomes a note"), "condition": "data.deal_id"}
    _make("talks", "talk.noted", "note.create", TALK, **noted, **crm)


def _make(source: str, event_type: str, operation_type: str, fields: dict[str, Any], **columns: Any) -> None:
    told = {"source": source, "event_type": event_type, "operation_type": operation_type}
    endpoint = Endpoint.objects.create(**told, **columns, entity_id_expression="subject")
    endpoint.mapped_by(dict(sorted(fields.items())), "admin", _("The first one"))
