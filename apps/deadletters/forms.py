"""The form of the rule for transient failures."""

from typing import Any

from django import forms

from apps.deadletters.failures import FailureClass
from apps.deadletters.models import TransientRule


class TransientRuleForm(forms.ModelForm[TransientRule]):
    """Failure classes as boxes to tick; at least one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "classes" in self.fields:
            told = self.fields["classes"]
            self.fields["classes"] = forms.MultipleChoiceField(
                label=told.label,
                help_text=told.help_text,
                choices=FailureClass.choices,
                widget=forms.CheckboxSelectMultiple,
            )
