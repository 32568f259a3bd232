"""The records that syncs brought, each once, as the source last told them."""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models.functions import Now, Upper
from django.utils.translation import gettext_lazy as _

from apps.actions.models import new_id
from apps.actions.verbs import Acted
from apps.jobs.models import Tenant
from apps.syncs.models.sync import Sync


class Record(models.Model):
    """A record of another system. `digest` is that of its fields: what has the same is the same and is not written."""

    key: ClassVar[tuple[str, ...]]
    """The columns by which it is known: the owner's, and its code."""
    filled: ClassVar[tuple[str, ...]] = ()
    """The columns that are filled from what was read."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    code = models.CharField(_("code"), max_length=200)
    """Its id at the source."""
    revision = models.BigIntegerField(_("revision"), default=0)
    """The source's number of its last change, where it counts them."""
    digest = models.CharField(max_length=64)
    told = models.JSONField(_("as it came"), default=dict)
    """What the source told, masked and bounded."""
    created_at = models.DateTimeField(_("first read"), db_default=Now())
    changed_at = models.DateTimeField(_("last changed"), db_default=Now())

    class Meta:
        abstract = True
        ordering = ("-id",)


class TenantRecord(Record, Acted):
    """A record of a tenant's ERP. Nobody moves it: it is as the source last told it."""

    looked_at = True
    key = ("tenant", "code")
    filters = {"tenant": "tenant__slug", "changed_since": "changed_at__gte", "since": "created_at__gte"}
    heavy = ("told",)

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)

    class Meta(Record.Meta):
        abstract = True
        default_permissions = ()
        """To look at them is all that may be permitted; it is made, and handed out once, with those of the verbs."""


class Customer(TenantRecord):
    """A tenant's customer."""

    read_permission = ("view_customer", "Can view customer")
    searches = ("name__icontains", "code", "email")
    filled = ("name", "email", "phone", "born_on", "city", "state", "registered_at")

    name = models.CharField(_("name"), max_length=300)
    email = models.CharField(_("e-mail"), max_length=300, blank=True, default="")
    phone = models.CharField(_("phone"), max_length=300, blank=True, default="")
    born_on = models.DateField(_("born on"), null=True)
    city = models.CharField(_("city"), max_length=300, blank=True, default="")
    state = models.CharField(_("state"), max_length=300, blank=True, default="")
    registered_at = models.DateTimeField(_("registered at"), null=True)

    class Meta(TenantRecord.Meta):
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
        constraints = [models.UniqueConstraint(name="customer_code", fields=["tenant", "code"])]
        indexes = [
            models.Index(name="customer_tenant", fields=["tenant", "id"]),
            models.Index(name="customer_changed", fields=["tenant", "changed_at"]),
            models.Index(name="customer_search_code", fields=["code"]),
            models.Index(name="customer_email", fields=["email"]),
            GinIndex(OpClass(Upper("name"), "gin_trgm_ops"), name="customer_name_words"),
        ]

    def __str__(self) -> str:
        return f"{self.name} · {self.code}"


class Product(TenantRecord):
    """A product of a tenant's catalogue."""

    read_permission = ("view_product", "Can view product")
    searches = ("name__icontains", "code")
    filled = ("name", "category", "price", "active")

    name = models.CharField(_("name"), max_length=300)
    category = models.CharField(_("category"), max_length=300, blank=True, default="")
    price = models.DecimalField(_("price"), max_digits=16, decimal_places=2, null=True)
    active = models.BooleanField(_("active"), default=True)

    class Meta(TenantRecord.Meta):
        verbose_name = _("product")
        verbose_name_plural = _("products")
        constraints = [models.UniqueConstraint(name="product_code", fields=["tenant", "code"])]
        indexes = [
            models.Index(name="product_tenant", fields=["tenant", "id"]),
            models.Index(name="product_changed", fields=["tenant", "changed_at"]),
            models.Index(name="product_search_code", fields=["code"]),
            GinIndex(OpClass(Upper("name"), "gin_trgm_ops"), name="product_name_words"),
        ]

    def __str__(self) -> str:
        return f"{self.name} · {self.code}"


class Order(TenantRecord):
    """A paid order. Its items are read and written with it, never apart: they stand in it."""

    read_permission = ("view_order", "Can view order")
    searches = ("code", "customer_email")
    filled = ("customer_email", "ordered_at", "total", "channel", "state", "items")

    customer_email = models.CharField(_("customer's e-mail"), max_length=300, blank=True, default="")
    ordered_at = models.DateTimeField(_("ordered at"))
    total = models.DecimalField(_("total"), max_digits=16, decimal_places=2)
    channel = models.CharField(_("channel"), max_length=300, blank=True, default="")
    state = models.CharField(_("state"), max_length=300, blank=True, default="")
    items = models.JSONField(_("items"), default=list)
    """Each with its name, price, quantity and category."""

    class Meta(TenantRecord.Meta):
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        constraints = [models.UniqueConstraint(name="order_code", fields=["tenant", "code"])]
        indexes = [
            models.Index(name="order_tenant", fields=["tenant", "id"]),
            models.Index(name="order_changed", fields=["tenant", "changed_at"]),
            models.Index(name="order_search_code", fields=["code"]),
            models.Index(name="order_email", fields=["customer_email"]),
        ]

    def __str__(self) -> str:
        return self.code


class PassedOn(Record):
    """A record of one of our own systems: only what tells whether it changed since it was passed on."""

    key = ("sync", "entity", "code")

    sync = models.ForeignKey(Sync, models.CASCADE, related_name="+", verbose_name=_("sync"), db_index=False)
    entity = models.CharField(_("records"), max_length=60)

    class Meta(Record.Meta):
        verbose_name = _("record passed on")
        verbose_name_plural = _("records passed on")
        constraints = [models.UniqueConstraint(name="passedon_code", fields=["sync", "entity", "code"])]
        indexes = [models.Index(name="passedon_changed", fields=["sync", "entity", "changed_at"])]

    def __str__(self) -> str:
        return f"{self.entity} {self.code}"
