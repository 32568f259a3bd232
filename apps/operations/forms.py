"""What a person fills in to edit payloads: one as JSON, or a rule for many."""

import json
from hashlib import sha256
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from apps.actions.forms import PressForm
from apps.integrations import bodies
from apps.integrations.masking import masked
from apps.integrations.unmasking import StillMasked, unmasked
from apps.operations.models import PayloadVersion, PendingOperation
from apps.operations.payloads import BadRule, DoesNotFit, Rule, check_sendable, rule_of

CODE = {"rows": 18, "spellcheck": "false", "autocapitalize": "off", "autocomplete": "off", "class": "code"}


class PayloadForm(forms.Form):
    """The payload of one operation. Masked values that are left as they were keep their true ones."""

    payload = forms.CharField(
        label=_("Payload"),
        widget=forms.Textarea(attrs=CODE),
        strip=False,
        help_text=_("The body that is sent, as JSON. What is masked keeps its true value where you leave it as it is."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Why. Kept with the version and in the history."),
    )
    version = forms.CharField(max_length=40, required=False, widget=forms.HiddenInput)
    base = forms.CharField(max_length=10, required=False, widget=forms.HiddenInput)
    seen = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)
    key = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def __init__(self, operation: PendingOperation, base: PayloadVersion | None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.operation = operation
        self.true: Any = base.payload if base else operation.payload
        self.fields["payload"].initial = json.dumps(masked(self.true), indent=2, ensure_ascii=False)

    def clean_payload(self) -> dict[str, Any]:
        """Read the JSON, put true values back, and ask the connector whether it could be sent."""
        try:
            found = unmasked(_read(self.cleaned_data["payload"]), self.true)
            check_sendable(self.operation.service, self.operation.operation_type, found)
        except (StillMasked, DoesNotFit) as wrong:
            said = [
                f"{field}: {', '.join(words)}" if field else ", ".join(words) for field, words in wrong.errors.items()
            ]
            raise forms.ValidationError(said or [str(wrong)]) from wrong
        return found  # type: ignore[no-any-return] # JSON

    @property
    def digest(self) -> str:
        """What tells this payload from another: what was looked at is what is sent."""
        told = json.dumps([self.cleaned_data["payload"], self.cleaned_data["version"]], sort_keys=True)
        return sha256(told.encode()).hexdigest()


class RuleForm(PressForm):
    """One JSON Patch for many operations."""

    rule = forms.CharField(
        label=_("Rule (JSON Patch)"),
        strip=False,
        required=False,
        widget=forms.Textarea(attrs={**CODE, "rows": 8}),
        initial='[\n  {"op": "replace", "path": "/stage_id", "value": 11}\n]',
        help_text=_(
            "Operations in their order: add, remove, replace, move, copy, test. A test that fails refuses the row."
        ),
    )
    seen = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)
    field_order = ("rule", "reason", "pace", "rate")

    def clean_rule(self) -> Rule:
        """Read the rule."""
        try:
            return rule_of(self.cleaned_data["rule"])
        except BadRule as wrong:
            raise forms.ValidationError(str(wrong)) from wrong

    @property
    def digest(self) -> str:
        """What tells this rule from another: the one that was tried is the one that is applied."""
        return sha256(json.dumps(self.cleaned_data["rule"], sort_keys=True).encode()).hexdigest()


def write(form: forms.Form, name: str, value: str) -> None:
    """Let a form that was posted say something else when it is shown again."""
    form.data = {**form.data.dict(), name: value} if isinstance(form.data, QueryDict) else {**form.data, name: value}


def _read(text: str) -> dict[str, Any]:
    try:
        found = bodies.read(text.encode())
    except (bodies.Unreadable, UnicodeEncodeError) as wrong:
        raise forms.ValidationError(str(wrong)) from wrong
    if not isinstance(found, dict):
        raise forms.ValidationError(_('A payload is an object: {"title": "Ten chairs"}.'))
    return found
