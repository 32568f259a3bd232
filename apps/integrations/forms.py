"""The form of a service: what staff may change of it, checked against its connector."""

import re
from ipaddress import ip_network
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from pydantic import ValidationError as WrongOptions

from apps.integrations.connectors import CONNECTORS
from apps.integrations.models import Service

NAME = re.compile(r"[A-Z][A-Z0-9_]{1,99}")
"""How the name of a secret looks, so that nobody pastes the secret itself."""


class ServiceForm(forms.ModelForm[Service]):
    """A service's policy. Secrets are named here, never given."""

    connector = forms.ChoiceField(label=gettext_lazy("Connector"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "connector" in self.fields:
            offered = [(name, connector.label) for name, connector in CONNECTORS.items()]
            self.fields["connector"].choices = offered  # type: ignore[attr-defined] # a ChoiceField, above

    def clean_credentials(self) -> dict[str, str]:
        """Take names only: the environment's or a secret file's."""
        named = self.cleaned_data["credentials"] or {}
        if not isinstance(named, dict) or not all(NAME.fullmatch(str(name)) for name in named.values()):
            raise forms.ValidationError(
                _('Name the secret, do not give it: {"token": "PIPERUN_API_TOKEN"}. Names are capitals, digits and _.')
            )
        return named

    def clean_allowed_networks(self) -> list[str]:
        """Take networks as lists of addresses with their width."""
        networks = self.cleaned_data["allowed_networks"] or []
        try:
            return [str(ip_network(network)) for network in networks]
        except (ValueError, TypeError) as error:
            raise forms.ValidationError(
                _('Give a list of networks, such as ["10.1.0.0/16"]. %(error)s') % {"error": error}
            ) from error

    def clean(self) -> dict[str, Any]:
        """Check the options by the connector's own schema."""
        cleaned: dict[str, Any] = super().clean() or {}
        connector = CONNECTORS.get(cleaned.get("connector") or self.instance.connector)
        if connector and "options" in cleaned:
            try:
                connector.options.model_validate(cleaned["options"] or {})
            except WrongOptions as error:
                told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
                self.add_error("options", told)
        return cleaned
