"""The faces of a verb, each a small adapter: it previews, presses and is refused, in its own way, over real requests."""

import re
from html import unescape
from io import StringIO
from typing import Any, Protocol

from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client

from apps.actions.verbs import Verb, slug_of
from tests.api import Api, key_of

GIVEN = {"note": "as agreed", "reason": "a contract", "owner": "ana"}


class Face(Protocol):
    """A door to every verb. `who` is a member of the cast who stands before it."""

    def __init__(self, who: User) -> None: ...

    def preview(self, verb: Verb, row: Any) -> tuple[int, int]:
        """Return how many rows would move, of how many; change nothing."""

    def press(self, verb: Verb, row: Any) -> None:
        """Run the verb on the row."""


class GuardedFace(Face, Protocol):
    """A face that asks who stands before it."""

    def refusal(self, verb: Verb, row: Any) -> str:
        """Press, be turned away with 403 and return the words."""


def given(verb: Verb) -> dict[str, str]:
    """Return what the verb asks for."""
    return {word: GIVEN[word] for word in verb.asks if word in GIVEN}


class Page:
    """A page of the admin, in a browser without scripts."""

    def __init__(self, who: User) -> None:
        self.client = Client()
        self.client.force_login(who)

    def preview(self, verb: Verb, row: Any) -> tuple[int, int]:
        shown = self.client.get(address(verb, row)).context["preview"]
        return shown.moving, shown.total

    def press(self, verb: Verb, row: Any) -> None:
        answer = self.pressed(verb, row)
        if answer.status_code == 200:  # the preview page: go on from there
            hidden = dict(answer.context["hidden"])
            answer = self.client.post(answer.context["press_url"], {**hidden, **given(verb), "confirm": "yes"})
        assert answer.status_code == (200 if verb.shows else 302), words(answer)

    def refusal(self, verb: Verb, row: Any) -> str:
        answer = self.pressed(verb, row)
        assert answer.status_code == 403
        return words(answer)

    def pressed(self, verb: Verb, row: Any) -> Any:
        raise NotImplementedError


class ListAction(Page):
    """A verb of the list, for the rows that are ticked."""

    def pressed(self, verb: Verb, row: Any) -> Any:
        form = {"action": [verb.name], "index": "0", "_selected_action": [str(row.pk)]}
        return self.client.post(list_of(verb), form)


class RowButton(Page):
    """The button in a row of the list."""

    def pressed(self, verb: Verb, row: Any) -> Any:
        return self.client.post(address(verb, row), {"back": list_of(verb)})


class DetailButton(Page):
    """The button on a row's own page."""

    def pressed(self, verb: Verb, row: Any) -> Any:
        context = self.client.get(f"{list_of(verb)}{row.pk}/change/").context
        buttons = context.get("verbs") or context.get("controls") or []
        offered = {button["name"]: button for button in buttons}
        if verb.name not in offered:  # no button for who may not; try all the same
            return self.client.post(address(verb, row))
        return self.client.post(offered[verb.name]["url"], dict(offered[verb.name]["fields"]))


class PreviewPage(Page):
    """The preview page, opened by its address."""

    def pressed(self, verb: Verb, row: Any) -> Any:
        return self.client.get(address(verb, row))


class OverApi:
    """The API, by a key of the same group."""

    def __init__(self, who: User) -> None:
        self.api = Api(key_of(who.username, who.groups.get().name))

    def preview(self, verb: Verb, row: Any) -> tuple[int, int]:
        told = self.api.send(self.path(verb, row), {"dry_run": True, **given(verb)}).json()
        return told["moving"], told["total"]

    def press(self, verb: Verb, row: Any) -> None:
        answer = self.api.send(self.path(verb, row), given(verb))
        assert answer.status_code == 200, answer.content

    def refusal(self, verb: Verb, row: Any) -> str:
        answer = self.api.send(self.path(verb, row), given(verb))
        assert answer.status_code == 403
        return str(answer.json()["detail"])

    def path(self, verb: Verb, row: Any) -> str:
        return f"/api/{slug_of(verb.model)}/{row.pk}/{verb.name}"


class Command:
    """The command line. Whoever reaches it holds the database already: nobody is refused there."""

    def __init__(self, who: User) -> None:
        """Take no heed of who it is."""

    def preview(self, verb: Verb, row: Any) -> tuple[int, int]:
        told = self._ops(verb, row, "--dry-run")
        moving, total = map(int, re.findall(r"\b\d+\b", told)[:2])
        return moving, total

    def press(self, verb: Verb, row: Any) -> None:
        asked = [f"--{word}={value}" for word, value in given(verb).items()]
        self._ops(verb, row, *asked, "--yes")

    def _ops(self, verb: Verb, row: Any, *words: str) -> str:
        out = StringIO()
        call_command("ops", verb.name, slug_of(verb.model), str(row.pk), *words, stdout=out)
        return out.getvalue()


GUARDED: list[type[GuardedFace]] = [ListAction, RowButton, DetailButton, PreviewPage, OverApi]
"""The faces that turn people away."""

FACES: list[type[Face]] = [*GUARDED, Command]
"""Every face that there is."""


def list_of(verb: Verb) -> str:
    """Return the address of a verb's noun in the admin."""
    return f"/admin/{verb.model._meta.app_label}/{verb.model._meta.model_name}/"


def address(verb: Verb, row: Any) -> str:
    """Return the address of a verb for one row."""
    return f"{list_of(verb)}verbs/{verb.name}/?id={row.pk}"


def words(answer: HttpResponse) -> str:
    """Return what a page says, without its marks."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())
