"""What really happened: each call that came in, and which of them had an effect."""

import json
import sqlite3
import time
from collections import Counter
from typing import Any

from apps.simulator.calls import SECRET_HEADERS, SECRET_PARAMETERS, Call, without_secrets
from apps.simulator.store import Store

LARGEST_KEPT_PAYLOAD = 64 * 1024
IDLE_CALLS_KEPT_SECONDS = 24 * 3600

ENTRIES = """
    SELECT service, subject,
        COUNT(*) FILTER (WHERE method NOT IN ('GET', 'HEAD')) AS calls,
        COUNT(*) FILTER (WHERE method IN ('GET', 'HEAD')) AS lookups,
        SUM(effect) AS effects,
        COUNT(*) FILTER (WHERE effect AND method = 'POST') AS created,
        COUNT(DISTINCT COALESCE(key, reference)) FILTER (WHERE method NOT IN ('GET', 'HEAD')) AS keys,
        GROUP_CONCAT(DISTINCT record) AS records
    FROM (
        SELECT *, CASE :by WHEN 'reference' THEN reference WHEN 'record' THEN record
            ELSE CASE WHEN json_valid(payload) THEN json_extract(payload, '$.' || :by) END END AS subject
        FROM calls
        WHERE (:service = '' OR service = :service) AND (:reference = '' OR reference = :reference)
            AND (:record = '' OR record = :record)
    )
    WHERE subject IS NOT NULL
    GROUP BY service, subject
    ORDER BY MIN(id)
"""
CALLS = """
    SELECT * FROM calls
    WHERE id > :after AND (:service = '' OR service = :service) AND (:method = '' OR method = :method)
        AND (:reference = '' OR reference = :reference) AND (:path = '' OR path GLOB :path)
        AND (:tenant = '' OR tenant = :tenant)
    ORDER BY id LIMIT :limit
"""
PACE = """
    SELECT CAST(at AS INTEGER) AS second, COUNT(*) AS calls,
        COUNT(*) FILTER (WHERE effect) AS effects, COUNT(*) FILTER (WHERE status = 429) AS refused
    FROM calls
    WHERE (:service = '' OR service = :service) AND (:method = '' OR method = :method) AND at >= :since
    GROUP BY second ORDER BY second
"""


class Ledger:
    """The record of calls and effects, and the counts of them that can be asked for at any moment."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.db = store.db
        self.calls: Counter[str] = Counter()
        self.effects: Counter[str] = Counter()
        self._drop_idle_calls()
        self._count()

    def arrived(self, call: Call) -> None:
        """Record a call before anything is done about it; gives it its id."""
        cursor = self.db.execute(
            "INSERT INTO calls (at, service, tenant, method, path, query, headers, payload, reference, key)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                time.time(),
                call.service,
                call.tenant,
                call.method,
                call.path,
                json.dumps(without_secrets(call.query, SECRET_PARAMETERS)),
                json.dumps(without_secrets(call.headers, SECRET_HEADERS)),
                call.body if call.body and len(call.body) <= LARGEST_KEPT_PAYLOAD else None,
                call.reference,
                call.key,
            ),
        )
        call.id = cursor.lastrowid or 0
        self.calls[call.service] += 1

    def took_effect(self, call: Call, record: str) -> None:
        """Record that the call changed something. Stands in the transaction of the change itself."""
        self.db.execute("UPDATE calls SET effect = 1, record = ? WHERE id = ?", (record, call.id))
        self.effects[call.service] += 1

    def settled(self, call: Call, status: int | None) -> None:
        """Record how the call ended; None: no answer reached anyone."""
        self.db.execute(
            "UPDATE calls SET status = ?, settled_at = ?, faults = ? WHERE id = ?",
            (status, time.time(), ",".join(call.faults) or None, call.id),
        )

    def entries(self, service: str = "", by: str = "reference", reference: str = "", record: str = "") -> list[Any]:
        """Per operation: calls, look-ups, effects, distinct keys. `by` a field of the body groups by that instead."""
        names = {"service": service, "by": by, "reference": reference, "record": record}
        entries = [dict(row) for row in self.db.execute(ENTRIES, names)]
        for entry in entries:
            entry["records"] = entry["records"].split(",") if entry["records"] else []
        return entries

    def totals(self, service: str = "") -> dict[str, int]:
        """All calls and all effects so far."""
        names = [service] if service else list(self.calls)
        return {"calls": sum(self.calls[name] for name in names), "effects": sum(self.effects[name] for name in names)}

    def recorded(self, **filters: object) -> list[dict[str, Any]]:
        """The calls in the order in which they came."""
        blank = {"after": 0, "service": "", "method": "", "reference": "", "path": "", "tenant": "", "limit": 1000}
        return [_readable(row) for row in self.db.execute(CALLS, blank | filters)]

    def pace(self, service: str = "", method: str = "", since: float = 0) -> list[dict[str, int]]:
        """Calls per second of the clock; seconds without a call are left out."""
        names = {"service": service, "method": method, "since": since}
        return [dict(row) for row in self.db.execute(PACE, names)]

    def _count(self) -> None:
        for row in self.db.execute("SELECT service, COUNT(*) AS calls, SUM(effect) AS effects FROM calls GROUP BY 1"):
            self.calls[row["service"]] = row["calls"]
            self.effects[row["service"]] = row["effects"]

    def _drop_idle_calls(self) -> None:
        """Calls that belong to no operation prove nothing; a demo left running would pile them up."""
        oldest = time.time() - IDLE_CALLS_KEPT_SECONDS
        self.db.execute("DELETE FROM calls WHERE NOT effect AND reference IS NULL AND at < ?", (oldest,))


def _readable(row: sqlite3.Row) -> dict[str, Any]:
    call = dict(row)
    for name in ("query", "headers", "payload"):
        call[name] = call[name] and json.loads(call[name])
    call["effect"] = bool(call["effect"])
    call["faults"] = [int(id) for id in call["faults"].split(",")] if call["faults"] else []
    return call
