"""What a person fills in before a verb is run: what the verb asks for, and how fast it goes."""

from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.utils.translation import gettext_lazy as _

from apps.actions.models import SavedView
from apps.actions.running import Pace
from apps.actions.verbs import ASKS, Verb

PACES = [
    ("canary", _("One, then ten, then the rest; it stops by itself when more than a fifth fail again")),
    ("rate", _("So many per second")),
    ("all", _("All at once")),
]
OWNERS_NAMED = 500
"""So many people are offered as owners; whoever stands behind them is named over the API or on the command line."""
CANARY_FROM = 11
"""From so many rows on a canary is what the form proposes."""


class PressForm(forms.Form):
    """Made from a verb's declaration. What is missing or wrong is refused by `run`, in the words of every other face."""

    note = forms.CharField(
        label=_("Note"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Kept in the history of every row."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "required": True}),
        help_text=_("Why. Kept in the history and shown where the rows are missed."),
    )
    until = forms.DateTimeField(
        label=_("Until"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("It ends by itself then. Left empty, it lasts until somebody ends it."),
    )
    owner = forms.CharField(
        label=_("Owner"), required=False, widget=forms.Select, help_text=_("Who sees to it from now on.")
    )
    tenant = forms.CharField(
        label=_("Tenant"),
        required=False,
        max_length=60,
        help_text=_("Its short name. Left empty: all of them, where the work is done for each tenant."),
    )
    pace = forms.ChoiceField(label=_("Pace"), choices=PACES, required=False, widget=forms.RadioSelect)
    rate = forms.FloatField(label=_("Rows per second"), required=False, min_value=0.01, max_value=10_000)
    key = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def __init__(self, verb: Verb, *args: Any, moving: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.verb = verb
        asked = {*verb.asks} if {"note", "reason"} & {*verb.asks} else {*verb.asks, "note"}
        if verb.paced and moving != 1:
            asked |= {"pace", "rate"}
        for name in {*self.fields} - asked - {"key", "seen"}:
            del self.fields[name]
        for name in {*self.fields} & {*verb.hints}:
            self.fields[name].help_text = str(verb.hints[name])
        if "owner" in self.fields:
            self.fields["owner"].widget.choices = _people()
        if "pace" in self.fields:
            self.fields["pace"].initial = "canary" if moving >= CANARY_FROM else "all"

    def clean(self) -> dict[str, Any]:
        """Ask for a rate where the rows are to go at one."""
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("pace") == "rate" and not cleaned.get("rate") and "rate" not in self.errors:
            self.add_error("rate", _("Say how many rows per second."))
        return cleaned

    @property
    def given(self) -> dict[str, Any]:
        """What the person gave, as `run` takes it."""
        return {name: self.cleaned_data[name] for name in ASKS if name in self.fields}

    @property
    def pacing(self) -> Pace | None:
        """How fast the person wants it, as `run` takes it."""
        chosen = self.cleaned_data.get("pace") or "all"
        if chosen == "all":
            return None
        return Pace(canary=True) if chosen == "canary" else Pace(rate=self.cleaned_data["rate"], canary=False)


def _people() -> list[tuple[str, str]]:
    """Return who may be named as an owner: the sign-in name, with the full one beside it."""
    people = get_user_model().objects.filter(is_active=True).order_by("username")[:OWNERS_NAMED]
    return [
        (name, f"{name} ({full})" if full else name) for name, full in ((p.username, p.get_full_name()) for p in people)
    ]


class ViewForm(forms.ModelForm[SavedView]):
    """The name of a saved view, and whether everybody is to have it. Whose it is, and of what, stands in the instance."""

    class Meta:
        model = SavedView
        fields = ("name", "shared")

    def clean_name(self) -> str:
        """Take one line of plain text that is not the name of another view of theirs."""
        name = " ".join(self.cleaned_data["name"].split())
        if not name.isprintable():
            raise forms.ValidationError(_("A name is one line of plain text."))
        others = SavedView.objects.filter(owner=self.instance.owner, kind=self.instance.kind, name__iexact=name)
        if others.exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(_("You have a view called %(name)s already.") % {"name": name})
        return name

    @property
    def sentence(self) -> str:
        """What is wrong, in a line."""
        return " ".join(f"{self[field].label}: {' '.join(map(str, said))}" for field, said in self.errors.items())
