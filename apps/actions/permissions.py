"""One permission per verb, and the three groups that ship with them."""

from collections.abc import Iterable
from typing import Any

from django.apps.config import AppConfig
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils.translation import gettext as _

from apps.actions.actors import Actor
from apps.actions.verbs import Acted, NotPermitted, Verb, Words, form_verbs_of, nouns, verbs_of

GROUPS = ("Viewer", "Operator", "Supervisor")
"""Viewer looks; Operator takes every verb that is not marked as dangerous; Supervisor takes all, and changes policy."""


def require(actor: Actor, verb: Verb) -> None:
    """Raise `NotPermitted` where the actor lacks the verb's permission or may not even see its rows."""
    options = verb.model._meta
    if not (actor.may(verb.permission) and actor.may(f"{options.app_label}.view_{options.model_name}")):
        raise NotPermitted(
            _("%(actor)s may not %(verb)s %(plural)s. Ask a supervisor for the permission %(permission)s.")
            % {
                "actor": actor.name,
                "verb": str(verb.label).lower(),
                "plural": options.verbose_name_plural,
                "permission": verb.permission,
            },
            code="not_permitted",
        )


def require_view(actor: Actor, model: type[Acted]) -> None:
    """Raise `NotPermitted` where the actor may not look at the rows of a noun."""
    permission = f"{model._meta.app_label}.view_{model._meta.model_name}"
    if not actor.may(permission):
        raise NotPermitted(
            _("%(actor)s may not see %(plural)s. Ask a supervisor for the permission %(permission)s.")
            % {"actor": actor.name, "plural": model._meta.verbose_name_plural, "permission": permission},
            code="not_permitted",
        )


def require_add(actor: Actor, model: type[Acted], plural: Words) -> None:
    """Raise `NotPermitted` where the actor may not hand rows of a noun in; `plural` is what senders call them."""
    permission = f"{model._meta.app_label}.add_{model._meta.model_name}"
    if not actor.may(permission):
        raise NotPermitted(
            _("%(actor)s may not hand in %(plural)s. Ask a supervisor for the permission %(permission)s.")
            % {"actor": actor.name, "plural": plural, "permission": permission},
            code="not_permitted",
        )


def ship_permissions(sender: AppConfig, **_signal: Any) -> None:
    """After migrate: make the missing permissions of an app's verbs and give the new ones to the shipped groups.

    What staff changed later in a group stays: only permissions that are made here and now are handed out.
    """
    groups = {name: Group.objects.get_or_create(name=name)[0] for name in GROUPS}
    for model in nouns():
        if model._meta.app_label == sender.label:
            verbs = [*verbs_of(model).values(), *form_verbs_of(model).values()]
            made = [_ship(model, verb, groups) for verb in verbs]
            if all(made):  # the noun is new here
                _ship_given(model, "view", groups.values())
                if model.annotated:
                    _ship_given(model, "change", [groups["Operator"], groups["Supervisor"]])
                if model.policy:
                    _ship_given(model, "change", [groups["Supervisor"]])
                if model.taken_in:
                    _ship_given(model, "add", [groups["Operator"], groups["Supervisor"]])
    for record in sender.get_models():
        if read := getattr(record, "read_permission", None):
            codename, name = read
            _ship_reading(record, codename, name, groups.values())


def _ship(model: type[Acted], verb: Verb, groups: dict[str, Group]) -> bool:
    permission, made = Permission.objects.get_or_create(
        content_type=ContentType.objects.get_for_model(model),
        codename=verb.codename,
        defaults={"name": f"Can {verb.name} {model._meta.verbose_name}"[:255]},
    )
    if made:
        groups["Supervisor"].permissions.add(permission)
        if not verb.danger:
            groups["Operator"].permissions.add(permission)
    return made


def _ship_reading(model: type[models.Model], codename: str, name: str, groups: Iterable[Group]) -> None:
    """Make the permission to read rows that are no noun, and hand it out once."""
    permission, made = Permission.objects.get_or_create(
        content_type=ContentType.objects.get_for_model(model), codename=codename, defaults={"name": name}
    )
    for group in groups if made else ():
        group.permissions.add(permission)


def _ship_given(model: type[Acted], action: str, groups: Iterable[Group]) -> None:
    """Hand out one of Django's own permissions."""
    permission = Permission.objects.get(
        content_type=ContentType.objects.get_for_model(model), codename=f"{action}_{model._meta.model_name}"
    )
    for group in groups:
        group.permissions.add(permission)
