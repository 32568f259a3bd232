"""What a person fills in on the pages of syncs."""

from secrets import token_hex
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.jobs.catalogue import pulling
from apps.jobs.models import Job
from apps.syncs.catalogue import per_tenant, readings_of
from apps.syncs.models import Sync
from apps.syncs.resyncing import day_of


class SyncForm(forms.ModelForm[Sync]):
    """A sync: whose data a job reads, and from where."""

    class Meta:
        model = Sync
        fields = ("job", "tenant", "service")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "job" in self.fields:
            self.fields["job"].queryset = Job.objects.filter(slug__in=pulling())  # type: ignore[attr-defined] # a ModelChoiceField

    def clean(self) -> dict[str, Any]:
        """Refuse a tenant where the job has none, and none where it has; and a service that nothing is read from."""
        given = super().clean() or {}
        job = given.get("job") or (self.instance.job_id and self.instance.job)
        service, tenant = given.get("service"), given.get("tenant", self.instance.tenant)
        if job and per_tenant(job) != bool(tenant):
            words = _("%(job)s reads for no tenant.") if tenant else _("%(job)s reads for a tenant: name one.")
            self.add_error("tenant" if "tenant" in self.fields else None, words % {"job": job})
        if service and not readings_of(service):
            words = _("Nothing is read from %(service)s: its connector has no lists.")
            self.add_error("service", words % {"service": service})
        return given


class ResyncForm(forms.Form):
    """From which day, and why."""

    since = forms.CharField(
        label=gettext_lazy("From this day on"),
        max_length=10,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=gettext_lazy("What changed since the beginning of this day is read again."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("Why. Kept in the history."),
    )
    key = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].initial = token_hex(16)

    def clean_since(self) -> str:
        """Refuse a day that is none, or that has not come yet."""
        text = str(self.cleaned_data["since"])
        if day_of(text) is None:
            raise forms.ValidationError(_("Give a day that has come, such as 2026-01-31."))
        return text
