"""The pages of stored records: to be searched and looked at. E-mail addresses and phones are masked."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.actions.admin import NOTHING, age
from apps.actions.admin.pages import Noun, Told, VerbAdmin
from apps.integrations.masking import masked, masked_text
from apps.syncs.models import Customer, Order, Product, TenantRecord


class RecordAdmin(VerbAdmin[Noun]):
    """Records of a tenant's ERP: nobody moves them, so they have neither verbs nor states."""

    list_select_related = ("tenant",)
    actions = None
    entity = ""

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("tenant")

    def tabs(self, changes: Any) -> list[Told]:
        """No states, no tabs."""
        return []

    def complete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        """No verbs to be found."""

    def told(self, request: HttpRequest, row: Any) -> Told:
        return {"title": str(row), "payload": masked(row.told), "references": self.references}

    def timeline(self, row: Any) -> list[Told]:
        """It is as its source last told it: what happened there is not ours to tell."""
        return []

    @admin.display(description=gettext_lazy("changed"))
    def changed(self, row: TenantRecord) -> str:
        return age(row.changed_at)

    @admin.display(description=gettext_lazy("first read"))
    def first(self, row: TenantRecord) -> str:
        return age(row.created_at)

    @admin.display(description=gettext_lazy("operations"))
    def operations(self, row: TenantRecord) -> str:
        words = f"tenant={row.tenant.slug}&q={row.code}"
        url = f"{reverse('admin:operations_pendingoperation_changelist')}?{words}"
        return format_html('<a href="{}">{}</a>', url, _("those with this code"))


@admin.register(Customer)
class CustomerAdmin(RecordAdmin[Customer]):
    """Customers, as the tenants' ERPs tell of them."""

    list_display = ("name", "code", "tenant", "mail", "phone_masked", "city", "changed")
    fields = ("name", "code", "tenant", "mail", "phone_masked", "born_on", "city", "state",
              "registered_at", "revision", "operations", "first", "changed")  # fmt: skip
    search_help_text = gettext_lazy("A part of the name; or the whole code or e-mail address.")

    @admin.display(description=gettext_lazy("e-mail"))
    def mail(self, row: Customer) -> str:
        return masked_text(row.email) or NOTHING

    @admin.display(description=gettext_lazy("phone"))
    def phone_masked(self, row: Customer) -> str:
        return masked_text(row.phone) or NOTHING


@admin.register(Product)
class ProductAdmin(RecordAdmin[Product]):
    """Products, as the tenants' ERPs tell of them."""

    list_display = ("name", "code", "tenant", "category", "price", "active", "changed")
    fields = ("name", "code", "tenant", "category", "price", "active", "revision", "operations", "first", "changed")
    search_help_text = gettext_lazy("A part of the name, or the whole code.")


@admin.register(Order)
class OrderAdmin(RecordAdmin[Order]):
    """Orders, as the tenants' ERPs tell of them."""

    list_display = ("code", "tenant", "total", "channel", "order_state", "mail", "ordered", "changed")
    fields = ("code", "tenant", "mail", "ordered", "total", "channel", "order_state", "lines", "operations",
              "first", "changed")  # fmt: skip
    search_help_text = gettext_lazy("The whole code, or the customer's whole e-mail address.")

    @admin.display(description=gettext_lazy("customer's e-mail"))
    def mail(self, row: Order) -> str:
        return masked_text(row.customer_email) or NOTHING

    @admin.display(description=gettext_lazy("state"))
    def order_state(self, row: Order) -> str:
        return row.state or NOTHING

    @admin.display(description=gettext_lazy("ordered"))
    def ordered(self, row: Order) -> str:
        return age(row.ordered_at)

    @admin.display(description=gettext_lazy("items"))
    def lines(self, row: Order) -> str:
        told = ((item.get("quantity"), item.get("name"), item.get("price")) for item in row.items)
        return format_html_join("", "<div>{} x {} · {}</div>", told) or NOTHING
