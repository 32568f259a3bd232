"""What holds of the whole tree, read from the sources and not from what happens to run."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

from apps.actions.verbs import nouns, verbs_of
from apps.integrations.connectors import CONNECTORS
from tests.contracts.world import VERBS

ROOT = Path(settings.BASE_DIR)
SOURCES = sorted([*ROOT.glob("apps/**/*.py"), *ROOT.glob("opsconsole/**/*.py")])
TEMPLATES = sorted([*ROOT.glob("templates/**/*.html"), *ROOT.glob("apps/**/templates/**/*.html")])
TESTS = sorted(ROOT.glob("tests/**/*.py"))
MOVERS = ("apps/actions/statements.py", "apps/actions/running.py", "apps/actions/leases.py")
"""The only ones that write a state; everything else asks them to."""
BORN = ("apps/actions/running.py", "opsconsole/demo/history.py")
"""Who makes rows in another state than the model's default: a run in the request runs at once, and the demo company
has a past that never happened. Both write it before the row is saved for the first time."""
RUN_BY_UP = ("prepare",)
"""Commands that nobody calls by hand: their test is that of `up`."""


def path_of(source: Path) -> str:
    return source.relative_to(ROOT).as_posix()


@cache
def nodes(source: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source.read_text())))


def found(test: object, sources: list[Path] = SOURCES) -> list[str]:
    """Return where in the sources a test on a node holds: `path:line`."""
    assert callable(test)
    return [
        f"{path_of(source)}:{getattr(node, 'lineno', 0)}"
        for source in sources
        if "/migrations/" not in path_of(source)
        for node in nodes(source)
        if test(node)
    ]


def elsewhere(places: list[str], *allowed: str) -> list[str]:
    return [place for place in places if place.rpartition(":")[0] not in allowed]


def name_of(node: ast.AST) -> str:
    """Return the last name of a call, an attribute or a name."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    return getattr(node, "attr", getattr(node, "id", ""))


def writes_status(node: ast.AST) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and any(
        isinstance(target, ast.Attribute) and target.attr == "status" and not _is_far_ends(target) for target in targets
    )


def _is_far_ends(target: ast.Attribute) -> bool:
    """Say whether it is the status of an HTTP answer, which a class keeps for itself."""
    return isinstance(target.value, ast.Name) and target.value.id == "self"


def updates_status(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and (
        (name_of(node) in ("update", "update_or_create") and any(word.arg == "status" for word in node.keywords))
        or (name_of(node) == "bulk_update" and "status" in ast.unparse(node))
        or (name_of(node) == "setattr" and len(node.args) > 1 and "status" in ast.unparse(node.args[1]))
    )


def is_born_elsewhere(node: ast.AST) -> bool:
    """Say whether a row of a noun is made with a state of its own, where the model's default should stand."""
    if not isinstance(node, ast.Call) or not any(word.arg == "status" for word in node.keywords):
        return False
    named = {model.__name__ for model in nouns()}
    by_manager = name_of(node) in ("create", "get_or_create") and any(name in ast.unparse(node.func) for name in named)
    return by_manager or name_of(node) in named


def raw_update_of_status(node: ast.AST) -> bool:
    text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    return bool(re.search(r"UPDATE\b[^;]*?\bSET\b(?:(?!\bWHERE\b|\bFROM\b)[^;])*\bstatus\s*=", text, re.S))


def test_nobody_writes_a_state_but_the_movers() -> None:
    assert elsewhere(found(writes_status), *BORN) == []
    assert elsewhere(found(updates_status), "apps/actions/running.py") == []
    answers = "apps/simulator/ledger.py"  # the status of an HTTP answer, and no noun of ours
    assert elsewhere(found(raw_update_of_status), *MOVERS, answers) == []


def test_rows_are_born_in_the_state_their_model_declares() -> None:
    assert elsewhere(found(is_born_elsewhere), *BORN) == []


def test_no_text_is_marked_as_safe_by_hand() -> None:
    """Markup is made by `format_html`, which escapes what it is given."""

    def marks(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and name_of(node) in ("mark_safe", "SafeString", "SafeText")

    assert found(marks) == []


def test_no_markup_is_put_together_before_it_is_escaped() -> None:
    """What `format_html` takes as its form is a text of ours, nothing that was filled in."""

    def fills(node: ast.AST) -> bool:
        form = node.args[:2] if isinstance(node, ast.Call) and name_of(node).startswith("format_html") else []
        return any(isinstance(part, ast.JoinedStr | ast.BinOp) for part in form)

    def vouches(node: ast.AST) -> bool:
        named = {getattr(node, "name", ""), name_of(node) if isinstance(node, ast.Call) else ""}
        return bool(named & {"__html__", "html_safe"})

    assert found(fills) + found(vouches) == []


@pytest.mark.parametrize("template", TEMPLATES, ids=path_of)
def test_a_template_is_safe_under_the_policy(template: Path) -> None:
    text = re.sub(r"{#.*?#}|{% comment %}.*?{% endcomment %}", "", template.read_text(), flags=re.S)
    assert not re.search(r"\|\s*safe\b|{%\s*autoescape off", text)
    assert not re.search(r"<style\b|\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|javascript:", text, re.I)
    assert not re.search(r"<script(?![^>]*\ssrc=)(?![^>]*type=\"application/json\")", text, re.I)


def test_later_is_a_column_and_never_a_message() -> None:
    def later(node: ast.AST) -> bool:
        named = isinstance(node, ast.keyword) and node.arg in ("eta", "countdown")
        return named or (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("self.retry"))

    assert found(later) == []


def test_the_clock_is_one_an_index_can_use() -> None:
    def volatile(node: ast.AST) -> bool:
        return isinstance(node, ast.Constant) and isinstance(node.value, str) and "clock_timestamp" in node.value

    assert found(volatile) == []


def test_every_management_command_has_a_test() -> None:
    tested = "\n".join(source.read_text() for source in TESTS)
    ours = {name for name, app in get_commands().items() if str(app).startswith(("apps.", "opsconsole"))}
    assert [name for name in sorted(ours - {*RUN_BY_UP}) if not re.search(rf"[\"' ]{name}[\"' ]", tested)] == []


def test_every_connector_has_a_test_file_and_is_held_to_the_contract() -> None:
    assert [name for name in CONNECTORS if not (ROOT / f"tests/integrations/test_connector_{name}.py").exists()] == []
    assert any("CONNECTORS" in path.read_text() for path in ROOT.glob("tests/contracts/*.py"))


def test_every_verb_is_held_to_the_contract_of_faces() -> None:
    assert [verb for model in nouns() for verb in verbs_of(model).values() if verb not in VERBS] == []


def test_every_verb_says_what_it_does() -> None:
    assert [repr(verb) for model in nouns() for verb in verbs_of(model).values() if not str(verb.help)] == []


def test_every_noun_every_state_and_every_choice_has_a_line_of_its_own() -> None:
    lacking = [
        f"{path_of(source)}: {cls.name}.{member}"
        for source in SOURCES
        for cls in nodes(source)
        if isinstance(cls, ast.ClassDef) and cls.name == "Status"
        for member in _undocumented(cls)
    ]
    assert lacking == []


def _undocumented(cls: ast.ClassDef) -> Iterator[str]:
    """Return the members of a class that no string follows."""
    for member, after in zip(cls.body, [*cls.body[1:], None], strict=True):
        said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(member, ast.Assign) and not said:
            yield ast.unparse(member.targets[0])


def test_the_lock_files_name_no_address() -> None:
    locks = list(ROOT.glob("requirements*.lock"))
    lines = [line for path in locks for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    assert locks
    assert [line for line in lines if re.search(r"://|^-(?!-hash=)", line.strip())] == []


def test_nothing_names_a_place_of_one_machine() -> None:
    kinds = ("*.py", "*.html", "*.md", "*.toml", "*.yml", "*.css", "*.js", "Makefile")
    tree = [
        path
        for kind in kinds
        for folder in ("apps", "opsconsole", "docs", "benchmarks", "templates", "static")
        for path in ROOT.glob(f"{folder}/**/{kind}")
    ]
    named = [path_of(path) for path in tree if re.search(r"/(?:work|root|home/\w+)/|/tmp/\w", path.read_text())]
    assert named == []
