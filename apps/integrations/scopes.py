"""Scopes of API keys: `noun:verb`, in the words of the API, and the permissions that they let through.

Beside the verbs a noun knows `view` (look at it) and, where work is handed in, `add`. `*` stands for every noun or every
verb. A scope never gives what the key's group lacks; a scope for a verb lets its noun be looked at, too.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from django.utils.translation import gettext as _

from apps.actions.selections import closest
from apps.actions.verbs import Acted, Invalid, Verb, form_verbs_of, looked_at, nouns, slug_of, verbs_of

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
    actions = sorted({action for model in _meant(noun) for action in _actions(model)})
    if action not in (ANY, *actions):
        raise Invalid(
            _("There is no verb %(verb)s in the scope %(scope)s; %(hint)s")
            % {"verb": action, "scope": scope, "hint": closest(action, [*actions, ANY])}
        )


@lru_cache(maxsize=1000)
def _permissions(scope: str) -> frozenset[str]:
    """Return the permissions that a scope lets through; none for one that is no longer declared."""
    noun, _colon, action = scope.partition(":")
    seen = [_actions(model)[VIEW] for model in _meant(noun) if action in _verbs(model)]
    return _named(scope).union(seen)


def _named(scope: str) -> frozenset[str]:
    """Return the permissions that a scope names itself."""
    noun, _colon, action = scope.partition(":")
    known = [pair for model in _meant(noun) for pair in _actions(model).items()]
    return frozenset(permission for name, permission in known if action in (name, ANY))


def _meant(noun: str) -> list[type[Acted]]:
    known = _nouns()
    return list(known.values()) if noun == ANY else [known[noun]] if noun in known else []


@lru_cache(maxsize=1)
def _nouns() -> dict[str, type[Acted]]:
    return {slug_of(model): model for model in [*nouns(), *looked_at()]}


def _actions(model: type[Acted]) -> dict[str, str]:
    """Return what a scope may name of a noun, and the permission behind each."""
    options = model._meta
    own = [VIEW, *([ADD] if model.taken_in else [])]
    stock = {action: f"{options.app_label}.{action}_{options.model_name}" for action in own}
    return stock | {name: verb.permission for name, verb in _verbs(model).items()}


def _verbs(model: type[Acted]) -> dict[str, Verb]:
    return {**verbs_of(model), **form_verbs_of(model)}
