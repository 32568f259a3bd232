"""What the API is asked and answers, for every noun: bodies made from the verbs, rows written by hand."""

import datetime as dt
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field, create_model

from apps.actions.foresight import leaves_at
from apps.actions.models import ActionItem, history_of
from apps.actions.running import Pace
from apps.actions.selections import Selection
from apps.actions.verbs import Acted, Invalid, Verb

HISTORY_SHOWN = 100
"""So many of the newest items of a row's history go along with it."""


class Asked(BaseModel):
    """What a verb is given for one row. Unknown fields are refused: a misspelt one would be lost in silence."""

    model_config = ConfigDict(extra="forbid")

    note: str = Field("", max_length=2000)
    dry_run: bool = Field(False, description="Only say what would happen.")

    def given(self, verb: Verb) -> dict[str, Any]:
        """Return what the verb asks for; a note that it does not ask for goes along where it says something."""
        given = {word: getattr(self, word) for word in verb.asks}
        return given | ({"note": self.note} if self.note else {})


class AskedOfMany(Asked):
    """What a verb is given for a selection: ids, or a filter in the words of the list (`{}`: all live rows)."""

    ids: list[UUID] | None = None
    filter: dict[str, str | bool | int] | None = None

    def selection(self, model: type[Acted]) -> Selection:
        """Return the rows asked for."""
        if self.ids is not None and self.filter is None:
            return Selection.ticked(model, self.ids)
        if self.filter is not None and self.ids is None:
            return Selection.matching(model, {word: str(value) for word, value in self.filter.items()})
        raise Invalid(_("Say which rows: either ids or filter."), code="selection_required")


class Leaving(Schema):
    """A row that may be archived, and is deleted some time after."""

    leaves_at: dt.datetime | None = Field(
        description="When retention deletes the archived row; null where it is not archived or its policy is held."
    )

    @staticmethod
    def resolve_leaves_at(row: Any) -> dt.datetime | None:
        """When it is deleted."""
        return leaves_at(row)


class Paced(BaseModel):
    """How a paced run releases its rows."""

    model_config = ConfigDict(extra="forbid")

    rate: float | None = Field(None, gt=0, le=10_000, description="Rows a second; without it, as the window allows.")
    canary: bool = Field(True, description="One row first, then ten, then the rest.")
    stop_share: float = Field(0.2, ge=0, le=1, description="It stops by itself when more than this share fails again.")


class WithPace(BaseModel):
    """A verb that may be paced."""

    pace: Paced | None = None


class WithReason(BaseModel):
    """A verb that needs a reason. It is the verb that refuses an empty one: in the same sentence on every face."""

    # A dry run needs none yet.
    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["reason"]},
                {"required": ["dry_run"], "properties": {"dry_run": {"const": True}}},
            ]
        }
    )

    reason: str = Field("", max_length=2000, description="Why.")


class WithUntil(BaseModel):
    """A verb that may end by itself."""

    until: dt.datetime | None = Field(None, description="A moment in the future, with its zone; or left open.")


class WithOwner(BaseModel):
    """A verb that names who sees to it."""

    owner: str = Field("", max_length=150, description="A sign-in name; left empty, whoever asks.")


class WithTenant(BaseModel):
    """A verb that may be meant for one tenant."""

    tenant: str = Field("", max_length=60, description="A tenant's short name; left empty, all of them.")


ASKS: dict[str, type[BaseModel]] = {
    "reason": WithReason,
    "until": WithUntil,
    "owner": WithOwner,
    "tenant": WithTenant,
}
"""The words a verb may ask for, beside the note that each takes."""


def asked_of(verb: Verb, base: type[Asked]) -> type[Asked]:
    """Return the body that a verb takes: its own words and no others."""
    mixins: list[Any] = [ASKS[word] for word in verb.asks if word in ASKS]
    if verb.paced and base is AskedOfMany:
        mixins.append(WithPace)
    return create_model(f"{verb.model.__name__}_{verb.name}_{base.__name__}", __base__=(base, *mixins))


def pace_of(body: Asked) -> Pace | None:
    """Return how a run is to be paced, where the body says so."""
    pace: Paced | None = getattr(body, "pace", None)
    return Pace(**pace.model_dump()) if pace else None


class Done(BaseModel):
    """One row moved."""

    success: bool = True
    message: str
    action_run: UUID
    status: str = Field(description="Where the row stands now.")


class ShownOnce(BaseModel):
    """A secret that was made. It is in this answer alone: neither the run nor a kept answer has it."""

    label: str
    text: str


class WithShown(BaseModel):
    """What a verb made that is shown once."""

    shown_once: list[ShownOnce] = Field(description="Empty where the same request was answered before.")


class DoneMany(BaseModel):
    """A run over many rows: done, or queued and released by a worker."""

    success: bool = True
    message: str
    action_run: UUID
    status: str = Field(description="Where the run stands.")
    total: int
    moved: int
    refused: int
    refusals: dict[str, int] = Field(description="How many rows were refused, by sentence.")


class Previewed(BaseModel):
    """What a run would do."""

    total: int
    moving: int
    refused: int
    refusals: dict[str, int]
    sample: list[UUID]
    about: list[str] = Field(description="Which rows they are.")
    effects: list[str] = Field(description="What the verb brings about.")
    settled: list[str] = Field(description="What is answered or superseded already.")
    in_the_way: list[str] = Field(description="What keeps it from happening now.")
    duration: list[str] = Field(description="How long it takes at the rate asked for.")


class HistoryItem(BaseModel):
    """One thing that happened to a row: by a person, with the run it belongs to, or by a worker."""

    at: dt.datetime
    verb: str
    from_status: str
    to_status: str
    actor: str
    action_run: UUID | None
    outcome: str

    @classmethod
    def of(cls, item: ActionItem) -> "HistoryItem":
        """Tell an item."""
        return cls(
            at=item.created_at,
            verb=item.verb,
            from_status=item.from_status,
            to_status=item.to_status,
            actor=item.actor_name,
            action_run=item.run_id,
            outcome=item.outcome,
        )


class WithHistory(Schema):
    """A row with what happened to it, newest first."""

    history: list[HistoryItem]

    @staticmethod
    def resolve_history(row: Acted) -> list[HistoryItem]:
        """Read the newest items."""
        return [HistoryItem.of(item) for item in history_of(row.pk)[:HISTORY_SHOWN]]


class ActionRunRow(Schema):
    """One asking of a verb, how far it is, and its score."""

    id: UUID
    status: str
    verb: str
    kind: str
    actor: str
    door: str
    given: dict[str, Any]
    selection: str
    total: int
    moved: int
    refused: int
    refusals: dict[str, int]
    paced: bool
    rate_per_second: float | None
    stage: int
    confirmed: int
    failed_again: int
    still_open: int
    stop_reason: str
    created_at: dt.datetime
    started_at: dt.datetime | None
    released_at: dt.datetime | None
    finished_at: dt.datetime | None

    @staticmethod
    def resolve_actor(run: Any) -> str:
        """Who asked, by name."""
        return str(run.actor_name)

    @staticmethod
    def resolve_selection(run: Any) -> str:
        """What was selected, in words."""
        return str(run.selection_words)


class ActionRunDetail(ActionRunRow, WithHistory):
    """A run with its first thousand refused rows, each with its sentence."""

    refused_rows: list[dict[str, str]]
