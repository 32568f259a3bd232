"""The SQL of a move: one statement locks the rows, updates them and writes their history.

Django compiles the selection and every expression. What stands here is the frame around them: Django's own
`update()` can neither lock in key order, nor say which rows it refused, nor write the history beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, models
from django.db.models import Expression, Field, Lookup, QuerySet
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from apps.actions import instances, recordsets
from apps.actions.preparing import filled
from apps.actions.verbs import FormVerb, Given, Lead, Move, Moved, kind_of

Params = list[Any]
Sql = tuple[str, Params]
KEYED = {"id": "uuid"}
"""The list of what is given has a line for each row."""


@models.UUIDField.register_lookup
class Among(Lookup[Any]):
    """`pk__among={…}`: a set of keys as one array. For `in` Django resolves and writes each by itself, at 10 µs a key."""

    lookup_name = "among"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """Return the comparison with the array."""
        column, params = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::uuid[])", (*params, array(self.rhs))


def array(keys: Iterable[UUID]) -> str:
    """Return keys as one value, for `%s::uuid[]`: psycopg writes each by itself, which takes five times as long."""
    return f"{{{','.join([key.hex for key in keys])}}}"


class Row(NamedTuple):
    """One row of a selection after the statement: what it was, and why it stayed (None: it moved).

    A refusal is the number of the move's own condition, or the sentence of the row that leads this one.
    """

    id: UUID
    status: str
    refusal: int | str | None


def move(
    step: Move,
    rows: QuerySet[Any],
    *,
    limit: int,
    given: Mapping[str, Any] | None = None,
    each: Mapping[UUID, Mapping[str, Any]] | None = None,
    run_id: UUID | None = None,
    actor_name: str = "",
    history: bool = True,
) -> list[Row]:
    """Move the first `limit` rows of a selection in key order, and follow with the step's `then`.

    Must run inside a transaction. Returns every row looked at, moved or refused. The guard is evaluated on the row
    as it stands once it is locked, so of two that act at once the second is refused. `given` holds for all rows,
    `each` for one row apiece. `history` is left out by steps that leave attempts or run records of their own.
    """
    picked, picked_params = _picked(step, rows, limit)
    types = _types(step) | ({} if each is None else KEYED)
    listed, told = (_listed(types), [_as_json(types, given or {}, each)]) if types else ("", [])
    assigned, set_params = _assignments(step)
    items, item_params = _items(step, run_id, actor_name) if history else ("", [])
    found = _execute(
        _moving(step, picked, listed, assigned, each is not None, items),
        [*picked_params, *told, *set_params, *item_params],
    )
    return _followed(step, found, given or {}, actor_name, run_id)


def move_filled(verb: FormVerb, rows: QuerySet[Any], *, limit: int, given: Mapping[str, Any], **how: Any) -> list[Row]:
    """Do `move` for a verb whose values are found row by row: the rows are locked first, read, and then moved."""
    locked = rows.annotate(refusal=verb.refusal()).order_by("pk").select_for_update(of=("self",), no_key=True)
    picked = list(locked[:limit])
    looked_at = {row.pk: Row(row.pk, row.status, row.refusal) for row in picked}
    found: Mapping[UUID, Any] = import_string(verb.fills)([row for row in picked if row.refusal is None], given)
    stays = {key: values for key, values in found.items() if isinstance(values, str)}
    each = {key: values for key, values in found.items() if key not in stays}
    moved = move(verb, verb.model._base_manager.filter(pk__in=list(each)), limit=limit, given=given, each=each, **how)
    looked_at |= {row.id: row for row in moved}
    return [row._replace(refusal=stays.get(key, row.refusal)) for key, row in looked_at.items()]


def move_any(verb: Move, rows: QuerySet[Any], *, limit: int, **how: Any) -> list[Row]:
    """Move rows the way that their verb asks for: after those that lead them, by values of their own, or at once."""
    if verb.model.leads:
        return move_led(verb, rows, limit=limit, **how)
    if isinstance(verb, FormVerb):
        return move_filled(verb, rows, limit=limit, **how)
    return move(verb, rows, limit=limit, **how)


def move_led(verb: Move, rows: QuerySet[Any], *, limit: int, **how: Any) -> list[Row]:
    """Do `move` for a noun whose rows follow others: the leading rows move first, the following ones by their `then`."""
    picked = rows.annotate(refusal=verb.refusal()).order_by("pk").values_list("pk", "status", "refusal")[:limit]
    looked_at = {key: Row(key, status, refusal) for key, status, refusal in picked}
    legal = [row.id for row in looked_at.values() if row.refusal is None]
    stays: dict[UUID, str | None] = dict.fromkeys(legal, gone())
    for lead in leads_of(verb, verb.model._base_manager.filter(pk__in=legal)):
        followers = lead.followers
        leading = lead.rows.model._base_manager.filter(pk__in=list(followers))
        led = move_any(lead.verb, leading, limit=limit, **how) if followers else []
        stays |= {followers[row.id]: _why_not_led(lead.verb, row) for row in led}
    return [row._replace(refusal=stays.get(key, row.refusal)) for key, row in looked_at.items()]


def _why_not_led(verb: Move, leading: Row) -> str | None:
    if leading.refusal is None or isinstance(leading.refusal, str):
        return leading.refusal
    return verb.why_not(leading.refusal, leading.status)


def gone() -> str:
    """Return why a row stays whose leading row was deleted."""
    return _("its source is no longer kept")


def leads_of(verb: Move, rows: QuerySet[Any]) -> list[Lead]:
    """Return what leads the rows of a noun that follows."""
    found: list[Lead] = import_string(verb.model.leads)(verb, rows)
    return found


class Claim:
    """A statement that takes rows, compiled once where it is made again and again.

    It takes them in the order of the queryset, stepping over those that another transaction holds. Where `columns` are
    named, only these are read; any other costs a query for each row that is asked for it.
    In a database that was restored none is taken until that was noticed (apps/actions/installations.py).
    """

    def __init__(self, step: Move, rows: QuerySet[Any], columns: Sequence[str] = (), **sets: Any) -> None:
        self.model, self.columns = step.model, [_column(step.model, name) for name in columns]
        table = _quoted(step.model._meta.db_table)
        picked, self.picked_params = _locked(rows.annotate(refusal=step.refusal()), "pk", "refusal", skip=True)
        assigned, self.set_params = _assignments(step, **sets)
        read = ", ".join(f"{table}.{_quoted(str(field.column))}" for field in self.columns)
        self.sql = (
            f"WITH picked(id, refusal) AS MATERIALIZED ({picked} LIMIT %s)"  # noqa: S608 # names from models only
            f" UPDATE {table} SET {assigned} FROM picked WHERE {table}.id = picked.id AND picked.refusal IS NULL"
            f" AND (SELECT actions_at_home()) RETURNING {read or f'{table}.*'}"
        )

    def take(self, limit: int, given: Any = None) -> list[Any]:
        """Take so many rows at most, and return them. `given` stands where the queryset has `GIVEN`."""
        params = [*filled(self.picked_params, given), limit, *self.set_params]
        if self.columns:
            return instances.read(self.model, self.columns, _execute(self.sql, params))
        return list(self.model._base_manager.raw(self.sql, params))


def finish(
    step: Move, outcomes: Mapping[UUID, Mapping[str, Any]], token: int, sets: Mapping[str, Any], actor_name: str
) -> list[Row]:
    """Do `move`, without history, for rows held under a token, each by values of its own: compiled once for each step."""
    sql, types, before, after = _finishing(step, tuple(sets.items()))
    told = [*before, array(outcomes), token, _as_json(types, {}, outcomes), *after]
    return _followed(step, _execute(sql, told), {}, actor_name, None)


@cache
def _finishing(step: Move, sets: tuple[tuple[str, Any], ...]) -> tuple[str, dict[str, str], Params, Params]:
    """Return the statement, the columns of its list, and the parameters before and behind those of a call."""
    rows = step.model._base_manager.order_by().annotate(refusal=step.refusal()).values_list("pk", "status", "refusal")
    selected, before = rows.query.get_compiler(connection=connection).as_sql()
    table = _quoted(step.model._meta.db_table)
    picked = f"{selected} WHERE id = ANY(%s::uuid[]) AND token = %s ORDER BY id FOR NO KEY UPDATE OF {table}"
    types = _types(step, **dict(sets)) | KEYED
    assigned, after = _assignments(step, **dict(sets))
    return _moving(step, picked, _listed(types), assigned, True), types, list(before), after


def _moving(step: Move, picked: str, listed: str, assigned: str, each: bool, items: str = "") -> str:
    """Return the frame around the rows picked, the list of what was given, and what is assigned."""
    table = _quoted(step.model._meta.db_table)
    return (
        f"WITH picked(id, status, refusal) AS MATERIALIZED ({picked}){listed},"  # noqa: S608 # names from models only
        f" moved AS (UPDATE {table} SET {assigned} FROM picked{', given' if listed else ''}"
        f" WHERE {table}.id = picked.id AND picked.refusal IS NULL{' AND given.id = picked.id' if each else ''}"
        f" RETURNING {table}.id){items} SELECT id, status, refusal FROM picked ORDER BY id"
    )


def _followed(
    step: Move, found: Sequence[tuple[Any, ...]], given: Mapping[str, Any], actor_name: str, run_id: UUID | None
) -> list[Row]:
    """Follow with the rows that moved; return all that were looked at."""
    looked_at = [Row(*row) for row in found]
    follow(step, [row.id for row in looked_at if row.refusal is None], given, actor_name, run_id)
    return looked_at


def follow(step: Move, ids: Sequence[UUID], given: Mapping[str, Any], actor_name: str, run_id: UUID | None) -> None:
    """Call the one function that a move names in `then`, with the rows that moved."""
    if step.then and ids:
        import_string(step.then)(Moved(step, ids, given, actor_name, run_id))


def _picked(step: Move, rows: QuerySet[Any], limit: int) -> Sql:
    if sum(1 for alias in rows.query.alias_map if rows.query.alias_refcount[alias]) > 1:
        # Only the model's own table can be locked and looked at again after a wait; joins go into a subquery.
        rows = step.model._base_manager.filter(pk__in=rows.order_by().values("pk"))
    return _locked(rows.annotate(refusal=step.refusal()).order_by("pk")[:limit], "pk", "status", "refusal")


def _locked(rows: QuerySet[Any], *columns: str, skip: bool = False) -> Sql:
    # Not elided: a selection that can be told to be empty (pk in []) is still a statement, which finds nothing.
    compiler = rows.values_list(*columns).query.get_compiler(connection=connection, elide_empty=False)
    sql, params = compiler.as_sql()
    table = _quoted(rows.model._meta.db_table)
    return f"{sql} FOR NO KEY UPDATE OF {table}{' SKIP LOCKED' if skip else ''}", list(params)


def _items(step: Move, run_id: UUID | None, actor_name: str) -> Sql:
    to_status = "picked.status" if step.target is None else "%s"
    sql = (
        ", items AS (INSERT INTO actions_actionitem"  # noqa: S608 # names from models only
        " (run_id, kind, object_id, verb, from_status, to_status, actor_name, outcome, created_at)"
        f" SELECT %s::uuid, %s, picked.id, %s, picked.status, {to_status}, %s, '', statement_timestamp()"
        " FROM picked JOIN moved USING (id))"
    )
    target = [] if step.target is None else [step.target]
    return sql, [run_id, kind_of(step.model), step.name, *target, actor_name]


def _assignments(step: Move, **more: Any) -> Sql:
    sets = dict(step.sets) | more
    if step.target is not None:
        sets["status"] = step.target
    if any(field.name == "updated_at" for field in step.model._meta.fields):
        sets["updated_at"] = Now()
    compiled = [_assignment(step.model, name, value) for name, value in sets.items()]
    return ", ".join(sql for sql, _ in compiled), [param for _, params in compiled for param in params]


def _assignment(model: type[models.Model], name: str, value: Any) -> Sql:
    field = _column(model, name)
    sql, params = _compiled(model, field, value)
    return f"{_quoted(str(field.column))} = {sql}", params


def _compiled(model: type[models.Model], field: "Field[Any, Any]", value: Any) -> Sql:
    if not hasattr(value, "resolve_expression"):
        return "%s", [field.get_db_prep_save(value, connection)]
    query = model._base_manager.all().query
    resolved = value.resolve_expression(query, allow_joins=False, for_save=True)
    sql, params = query.get_compiler(connection=connection).compile(resolved)
    return sql, list(params)


def _types(step: Move, **more: Any) -> dict[str, str]:
    """Return the columns of the list `given` that a move reads, with their SQL types."""
    return {
        given.name: str((given.own_field or _column(step.model, name)).db_type(connection))
        for name, value in (dict(step.sets) | more).items()
        if isinstance(value, Expression)
        for given in value.flatten()
        if isinstance(given, Given)
    }


def _listed(types: Mapping[str, str]) -> str:
    """Return the list `given` as a CTE."""
    return f", given AS (SELECT * FROM {recordsets.table('list', types)})"  # noqa: S608 # names from models only


def _as_json(types: Mapping[str, str], given: Mapping[str, Any], each: Mapping[UUID, Mapping[str, Any]] | None) -> str:
    """Return that list as JSON: of what holds for all rows, or a line for each."""
    if each is None:
        return recordsets.mended_text([{name: given.get(name) for name in types}])
    names = [name for name in types if name not in KEYED]
    listed = ((key, {**given, **values} if given else values) for key, values in each.items())
    return recordsets.mended_text(
        [{"id": key.hex} | {name: values.get(name) for name in names} for key, values in listed]
    )


def _column(model: type[models.Model], name: str) -> "Field[Any, Any]":
    field = model._meta.get_field(name)
    assert isinstance(field, Field)  # noqa: S101 # apps/actions/checks.py refuses other names at start
    return field


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)


def _execute(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
