from typing import Any

import pytest
from django.db.models import Q
from django.test.utils import isolate_apps

from apps.actions import checks
from apps.actions.models import ActionRun
from apps.actions.verbs import Given, Step, Verb


def found(**declared: Any) -> list[str]:
    """Return what is wrong with a noun that is an action run, but for what is declared here."""
    with isolate_apps("apps.actions"):
        told = {"__module__": "apps.actions.models", "Meta": type("Meta", (), {"app_label": "actions", "proxy": True})}
        noun = type("Noun", (ActionRun,), {**told, **declared})
        moves = [checks._errors(noun, move) for move in vars(noun).values() if isinstance(move, Verb | Step)]
        return [error.id or "" for errors in [*moves, checks._noun_errors(noun)] for error in errors]


def verb(**columns: Any) -> Verb:
    return Verb("Do", **{"sources": ["queued"], "target": "running", "help": "Does it.", **columns})


def test_a_sound_declaration_is_found_sound() -> None:
    assert found(do=verb()) == []


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (verb(sources=["nowhere"]), "actions.E001"),
        (verb(target="nowhere"), "actions.E001"),
        (Step("Do", sources=["nowhere"]), "actions.E001"),
        (verb(sets={"colour": "red"}), "actions.E002"),
        (verb(sets={"status": "running"}), "actions.E002"),
        (verb(then="apps.actions.nowhere"), "actions.E003"),
        (verb(then="apps.actions.running.IN_REQUEST"), "actions.E003"),
        (verb(unless=[("apps.actions.nowhere", "not there")]), "actions.E013"),
        (verb(asks=["colour"]), "actions.E004"),
        (verb(help=""), "actions.E005"),
        (verb(paced=True), "actions.E006"),
        (verb(sets={"stop_reason": Given("reason")}), "actions.E007"),
    ],
)
def test_a_broken_declaration_is_found(broken: Verb | Step, code: str) -> None:
    assert found(do=broken) == [code]


def test_leads_that_cannot_be_imported_are_found() -> None:
    assert found(do=verb(), leads="apps.actions.nowhere") == ["actions.E008"]


def test_a_filter_that_looks_at_no_column_is_found() -> None:
    assert found(do=verb(), filters={"colour": "colour__iexact"}) == ["actions.E009"]


def test_a_paced_verb_with_settles_is_sound() -> None:
    assert found(do=verb(paced=True), settles={"confirmed": Q(status="finished")}) == []


def test_the_declarations_of_the_project_are_sound() -> None:
    assert checks.check_moves(None) == []


def test_a_filter_that_looks_at_a_relation_itself_is_found() -> None:
    assert found(do=verb(), filters={"person": "actor"}) == ["actions.E012"]
