"""The form of an endpoint: which events, which operation, and the mapping as rows of field and expression."""

import json
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.integrations import bodies
from apps.integrations.connectors import CONNECTORS, canonical
from apps.integrations.mapping import WrongMapping, rules_of
from apps.integrations.models import Endpoint, EventSource
from apps.jobs.catalogue import pulling

FROM, OPTIONAL, VALUE = "from", "optional", "value"
KINDS = {
    FROM: gettext_lazy("out of the event"),
    OPTIONAL: gettext_lazy("out of it, or left out"),
    VALUE: gettext_lazy("always the same"),
}
SPARE = 2
"""So many empty rows stand below the filled ones, for whom no script runs."""

Row = tuple[str, str, str]
"""Target, kind, and the expression or the constant."""


class MappingRows(forms.Widget):
    """A mapping as rows of three inputs."""

    template_name = "integrations/mapping_rows.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Return what the rows show."""
        context = super().get_context(name, value, attrs)
        context["widget"] |= {"rows": [*(value or []), *[("", FROM, "")] * SPARE], "kinds": KINDS}
        return context

    def format_value(self, value: Any) -> Any:
        """Leave the rows as they are."""
        return value

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[Row]:
        """Return the rows that were filled in."""
        columns = (data.getlist(f"{name}-{part}") for part in ("target", "kind", "text"))
        rows = [(target.strip(), kind, text.strip()) for target, kind, text in zip(*columns, strict=False)]
        return [row for row in rows if row[0] or row[2]]

    def id_for_label(self, id_: str) -> str:
        """Return nothing: each input has a name of its own."""
        return ""


class MappingField(forms.Field):
    """A mapping, as it is stored, out of rows. Every wrong row has its sentence."""

    widget = MappingRows

    def prepare_value(self, value: Any) -> Any:
        """Return the rows of a stored mapping."""
        return [row_of(target, entry) for target, entry in sorted(value.items())] if isinstance(value, dict) else value

    def to_python(self, value: Any) -> dict[str, Any]:
        """Return the mapping; `ValidationError` with a sentence for each row that is wrong."""
        if not value:
            raise forms.ValidationError(_("Add a row for each field of the payload."))
        fields, twice = fields_of_rows(value)
        errors = [_("%(target)s stands twice.") % {"target": target} for target in twice]
        try:
            rules_of(fields)
        except WrongMapping as error:
            errors += [f"{target or _('A row without a name')}: {why}" for target, why in error.errors.items()]
        if errors:
            raise forms.ValidationError(errors)
        return fields

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Say whether the rows say something else than what is stored."""
        fields, twice = fields_of_rows(data or [])
        return bool(twice) or fields != (initial or {})


class EndpointForm(forms.ModelForm[Endpoint]):
    """An endpoint with its mapping. Saving a changed mapping makes the next version."""

    source = forms.ChoiceField(
        label=gettext_lazy("Source"), required=False, help_text=gettext_lazy("Left empty: events from every source.")
    )
    operation_type = forms.ChoiceField(label=gettext_lazy("Operation"))
    mapping = MappingField(label=gettext_lazy("Fields of the payload"))
    note = forms.CharField(
        label=gettext_lazy("Why"),
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=gettext_lazy("Kept with the new version of the mapping."),
    )
    based_on = forms.CharField(required=False, widget=forms.HiddenInput)
    """The version that was shown: who saves over a newer one is told."""

    class Meta:
        model = Endpoint
        fields = (
            "slug",
            "name",
            "source",
            "event_type",
            "condition",
            "service",
            "operation_type",
            "queue",
            "tenant",
            "tenant_expression",
            "entity_id_expression",
        )
        widgets = {
            name: forms.Textarea(attrs={"rows": 2, "class": "expression", "spellcheck": "false"})
            for name in ("condition", "tenant_expression", "entity_id_expression")
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered: Any = [
            (connector.label, [(name, f"{name}: {one.label}") for name, one in connector.operations.items()])
            for connector in CONNECTORS.values()
        ]
        self.fields["operation_type"].choices = [("", "---------"), *offered]  # type: ignore[attr-defined] # a ChoiceField
        sources = sorted({*EventSource.objects.values_list("slug", flat=True), *pulling(), self.instance.source} - {""})
        self.fields["source"].choices = [("", "---------"), *((slug, slug) for slug in sources)]  # type: ignore[attr-defined] # a ChoiceField
        self.newest = None if self.instance._state.adding else self.instance.mapping
        if self.newest:
            self.initial.update(mapping=self.newest.fields, based_on=str(self.newest.number))

    def clean_based_on(self) -> str:
        """Refuse to save over a version that nobody of the form has seen."""
        seen = str(self.cleaned_data["based_on"])
        if self.newest and seen != str(self.newest.number):
            told = {"number": self.newest.number, "who": self.newest.made_by}
            raise forms.ValidationError(
                _(
                    "%(who)s made version %(number)s of the mapping meanwhile. Nothing was saved: open the page anew "
                    "and make your change in it."
                )
                % told
            )
        return seen

    def clean(self) -> dict[str, Any]:
        """Check that the service can do the operation, and that the mapping fills what the operation needs."""
        cleaned: dict[str, Any] = super().clean() or {}
        service, name = cleaned.get("service"), canonical(cleaned.get("operation_type") or "")
        connector = CONNECTORS.get(service.connector) if service else None
        if connector and name and name not in connector.operations:
            told = {"service": service, "name": name, "known": ", ".join(connector.operations)}
            self.add_error("operation_type", _("%(service)s cannot do %(name)s. It can: %(known)s.") % told)
        elif connector and name and "mapping" in cleaned:
            self._check_needed(name, connector.operations[name].schema.model_fields, cleaned["mapping"])
        return cleaned

    def _check_needed(self, name: str, known: Any, mapping: dict[str, Any]) -> None:
        filled = {target.partition(".")[0] for target in mapping}
        missing = [field for field, told in known.items() if told.is_required() and field not in filled]
        if missing:
            words = _("%(name)s needs %(fields)s: add a row for each.")
            self.add_error("mapping", words % {"name": name, "fields": ", ".join(missing)})


def row_of(target: str, entry: dict[str, Any]) -> Row:
    """Return an entry of a mapping as a row of the form."""
    if "value" in entry:
        return target, VALUE, constant_text(entry["value"])
    return target, OPTIONAL if entry.get("optional") else FROM, entry["from"]


def fields_of_rows(rows: list[Row]) -> tuple[dict[str, Any], list[str]]:
    """Return the mapping that rows say, as it is stored, and the targets that stand twice."""
    targets = [target for target, _kind, _text in rows]
    fields = {target: _entry(kind, text) for target, kind, text in rows}
    return dict(sorted(fields.items())), sorted({target for target in targets if targets.count(target) > 1})


def constant_text(value: Any) -> str:
    """Return a constant as a person types it: texts without quotes, where nothing else can be meant."""
    if isinstance(value, str) and value.strip() == value and value and constant(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def constant(text: str) -> Any:
    """Return the constant that a person typed: JSON where it is some, else the text itself."""
    try:
        return bodies.read(text.encode(errors="replace"))
    except bodies.Unreadable:
        return text


def _entry(kind: str, text: str) -> dict[str, Any]:
    if kind == VALUE:
        return {"value": constant(text)}
    return {"from": text, "optional": True} if kind == OPTIONAL else {"from": text}
