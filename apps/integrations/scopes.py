"""Scopes of API keys: `noun:verb`, in the words of the API, and the permissions that they let through.

Beside the verbs a noun knows `view` (look at it) and, where work is handed in, `add`; of the log there is `log-lines:view`
alone. `*` stands for every noun or every verb. A scope never gives what the key's group lacks; a scope for a verb lets its noun be looked at, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from django.apps import apps
from django.db.models import Model
from django.utils.translation import gettext as _

from apps.actions.selections import closest
from apps.actions.verbs import Acted, Invalid, Verb, form_verbs_of, looked_at, nouns, slug_of, verbs_of

Actions = Mapping[str, str]
"""What may be named of a noun, and the permission behind each."""
ANY = "*"
VIEW, ADD = "view", "add"
AT_MOST = 50
"""So many scopes of one key; whoever needs more means `*`."""


def checked(scopes: Iterable[str], permissions: frozenset[str], group: str) -> list[str]:
    """Return the scopes in their order, each once; raise `Invalid` where one names what there is not, or gives nothing."""
    found = sorted({scope.strip().lower() for scope in scopes if scope.strip()})
    if len(found) > AT_MOST:
        raise Invalid(_("A key takes up to %(most)s scopes; use * for more.") % {"most": AT_MOST})
    for scope in found:
        _check(scope)
        if not _named(scope) & permissions:
            raise Invalid(
                _("%(scope)s gives nothing: the group %(group)s may not do that. Choose another group or scope.")
                % {"scope": scope, "group": group}
            )
    return found


def let_through(scopes: Sequence[str], permissions: frozenset[str]) -> frozenset[str]:
    """Return those of the permissions that the scopes let through: all of them where there is no scope."""
    if not scopes:
        return permissions
    return permissions & frozenset[str]().union(*map(_permissions, scopes))


def _check(scope: str) -> None:
    noun, colon, action = scope.partition(":")
    if not colon:
        raise Invalid(
            _("A scope is noun:verb, such as pending-operations:retry; %(scope)s has no colon.") % {"scope": scope}
        )
    known = _nouns()
    if noun not in (ANY, *known):
        raise Invalid(
            _("There is no noun %(noun)s in the scope %(scope)s; %(hint)s")
            % {"noun": noun, "scope": scope, "hint": closest(noun, [*known, ANY])}
        )
    actions = sorted({action for known in _meant(noun) for action in known})
    if action not in (ANY, *actions):
        raise Invalid(
            _("There is no verb %(verb)s in the scope %(scope)s; %(hint)s")
            % {"verb": action, "scope": scope, "hint": closest(action, [*actions, ANY])}
        )


@lru_cache(maxsize=1000)
def _permissions(scope: str) -> frozenset[str]:
    """Return the permissions that a scope lets through; none for one that is no longer declared."""
    noun, _colon, action = scope.partition(":")
    seen = [actions[VIEW] for actions in _meant(noun) if action in actions and action != ADD]
    return _named(scope).union(seen)


def _named(scope: str) -> frozenset[str]:
    """Return the permissions that a scope names itself."""
    noun, _colon, action = scope.partition(":")
    known = [pair for actions in _meant(noun) for pair in actions.items()]
    return frozenset(permission for name, permission in known if action in (name, ANY))


def _meant(noun: str) -> list[Actions]:
    known = _nouns()
    return list(known.values()) if noun == ANY else [known[noun]] if noun in known else []


@lru_cache(maxsize=1)
def _nouns() -> dict[str, Actions]:
    """Return each noun, and what a scope may name of it."""
    read = {slug_of(model): {VIEW: permission} for model, permission in _records()}
    return read | {slug_of(model): _actions(model) for model in [*nouns(), *looked_at()]}


def _records() -> list[tuple[type[Model], str]]:
    """Return what can only be read, such as the log, and the permission that it takes."""
    marked = [(model, getattr(model, "read_permission", None)) for model in apps.get_models()]
    return [(model, f"{model._meta.app_label}.{read[0]}") for model, read in marked if read]


def _actions(model: type[Acted]) -> Actions:
    """Return what a scope may name of a noun, and the permission behind each."""
    options = model._meta
    own = [VIEW, *([ADD] if model.taken_in else [])]
    stock = {action: f"{options.app_label}.{action}_{options.model_name}" for action in own}
    return stock | {name: verb.permission for name, verb in _verbs(model).items()}


def _verbs(model: type[Acted]) -> dict[str, Verb]:
    return {**verbs_of(model), **form_verbs_of(model)}
