"""The forms of services, event sources and keys: what staff may change or make, and what stands against it."""

import re
from ipaddress import ip_network
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from pydantic import ValidationError as WrongOptions

from apps.actions.actors import Actor
from apps.actions.running import database_now
from apps.actions.verbs import Invalid, Refused
from apps.integrations import keys, scopes
from apps.integrations.connectors import CONNECTORS
from apps.integrations.models import ApiKey, EventSource, Service
from apps.integrations.models.event import Scheme

NAME = re.compile(r"[A-Z][A-Z0-9_]{1,99}")
"""How the name of a secret looks, so that nobody pastes the secret itself."""


SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


def named_secrets(given: Any) -> dict[str, str]:
    """Return the names of secrets; refuse whatever might be a secret itself."""
    named = given or {}
    if not isinstance(named, dict) or not all(NAME.fullmatch(str(name)) for name in named.values()):
        raise forms.ValidationError(
            _('Name the secret, do not give it: {"token": "PIPERUN_API_TOKEN"}. Names are capitals, digits and _.')
        )
    return named


def networks(given: Any) -> list[str]:
    """Return networks as they are written; refuse what is none."""
    try:
        return [str(ip_network(network)) for network in given or []]
    except (ValueError, TypeError) as error:
        raise forms.ValidationError(
            _('Give a list of networks, such as ["10.1.0.0/16"]. %(error)s') % {"error": error}
        ) from error


class ApiKeyForm(forms.ModelForm[ApiKey]):
    """A new key. Nobody makes one that may do more than its maker (S26)."""

    maker: Actor
    """Whoever fills the form in; set by the page."""
    scopes = forms.CharField(
        label=gettext_lazy("Scopes"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy(
            "What of it: noun:verb, such as pending-operations:retry, pending-operations:*, *:view, with commas or one a line. "
            "Empty: all that its group may."
        ),
    )

    def clean_scopes(self) -> list[str]:
        """Take scopes apart."""
        return re.split(r"[\s,]+", str(self.cleaned_data["scopes"]))

    def clean(self) -> dict[str, Any]:
        """Check the scopes by the group, and both by what the maker may do."""
        cleaned: dict[str, Any] = super().clean() or {}
        if "group" in cleaned and "scopes" in cleaned:
            try:
                cleaned["scopes"] = scopes.checked(
                    cleaned["scopes"], keys.of_group(cleaned["group"]), cleaned["group"].name
                )
                keys.require_grantable(cleaned["group"], cleaned["scopes"], self.maker)
            except Refused as refusal:
                self.add_error("scopes" if isinstance(refusal, Invalid) else "group", str(refusal))
        if cleaned.get("expires_at") and cleaned["expires_at"] <= database_now():
            self.add_error("expires_at", _("Give a moment in the future."))
        return cleaned

    def made(self) -> tuple[Any, str]:
        """Make the key; return its id and its text."""
        words = ("name", "group", "scopes", "expires_at", "rotation_days")
        key, plain = keys.make(**{word: self.cleaned_data[word] for word in words})
        return key.pk, plain


class ServiceForm(forms.ModelForm[Service]):
    """A service's policy. Secrets are named here, never given."""

    connector = forms.ChoiceField(label=gettext_lazy("Connector"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "connector" in self.fields:
            offered = [(name, connector.label) for name, connector in CONNECTORS.items()]
            self.fields["connector"].choices = offered  # type: ignore[attr-defined] # a ChoiceField, above
        for name in {"aliases", "credentials", "options", "allowed_networks"} & set(self.fields):
            self.fields[name].widget.attrs["rows"] = 3

    def clean_aliases(self) -> list[str]:
        """Take names as services have them, that no other service goes by."""
        aliases = self.cleaned_data["aliases"] or []
        if not isinstance(aliases, list) or not all(isinstance(one, str) and SLUG.fullmatch(one) for one in aliases):
            raise forms.ValidationError(_('Give a list of names, such as ["crm"]: small letters, digits, - and _.'))
        for other in Service.objects.exclude(pk=self.instance.pk):
            taken = {other.slug, *other.aliases} & set(aliases)
            if taken:
                words = _("%(name)s is a name of the service %(service)s already.")
                raise forms.ValidationError(words % {"name": min(taken), "service": other})
        return sorted(set(aliases))

    def clean_credentials(self) -> dict[str, str]:
        """Take names only: the environment's or a secret file's."""
        return named_secrets(self.cleaned_data["credentials"])

    def clean_allowed_networks(self) -> list[str]:
        """Take networks as lists of addresses with their width."""
        return networks(self.cleaned_data["allowed_networks"])

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


ROLES = ("current", "next")
"""The secrets of a source: the one that counts, and while it is rotated the one that will."""
WORDS = ("type", "id", "subject", "time")
"""What a source may say where to read."""
PLACE = re.compile(r"[\w-]{1,60}(\.[\w-]{1,60}){0,9}")


class EventSourceForm(forms.ModelForm[EventSource]):
    """A source's policy. Secrets are named here, never given."""

    def clean_credentials(self) -> dict[str, str]:
        """Take the names of the current secret and of the next."""
        named = named_secrets(self.cleaned_data["credentials"])
        if set(named) - set(ROLES) or (named and "current" not in named):
            raise forms.ValidationError(_('Name the secret as "current" and, while it is rotated, another as "next".'))
        return named

    def clean_allowed_networks(self) -> list[str]:
        """Take networks as lists of addresses with their width."""
        return networks(self.cleaned_data["allowed_networks"])

    def clean_places(self) -> dict[str, str]:
        """Take places by the words that are known."""
        places = self.cleaned_data["places"] or {}
        good = isinstance(places, dict) and not set(places) - set(WORDS)
        if not good or not all(isinstance(place, str) and PLACE.fullmatch(place) for place in places.values()):
            raise forms.ValidationError(
                _('Say where to read %(words)s, each as names with points between: {"subject": "deal.id"}.')
                % {"words": ", ".join(WORDS)}
            )
        return places

    def clean(self) -> dict[str, Any]:
        """A source that cannot sign needs to say from where it sends; any other door needs its secret."""
        cleaned: dict[str, Any] = super().clean() or {}
        scheme = cleaned.get("scheme") or self.instance.scheme
        if scheme == Scheme.PATH and "allowed_networks" in cleaned and not cleaned["allowed_networks"]:
            self.add_error(
                "allowed_networks",
                _('A sender that cannot sign needs a list of addresses; write ["0.0.0.0/0", "::/0"] for any.'),
            )
        if scheme != Scheme.KEY and "credentials" in cleaned and not cleaned["credentials"]:
            self.add_error("credentials", _("Name the secret that its door checks."))
        return cleaned
