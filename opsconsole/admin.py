from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.utils.translation import gettext_lazy as _


class ConsoleSite(AdminSite):
    """The one admin site: the stock admin with our name and our look."""

    site_title = _("opsconsole")
    site_header = _("opsconsole")
    index_title = _("Now")
    enable_nav_sidebar = False


class ConsoleConfig(AdminConfig):
    """Django's admin, with `ConsoleSite` as its site."""

    default_site = "opsconsole.admin.ConsoleSite"
