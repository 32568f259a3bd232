"""The documentation of the API, completed: every refusal that a call may answer with, and what each answer says of the limits."""

from functools import cache
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

Told = dict[str, Any]


class Outline(OpenAPISchema):
    """The documentation without the schemas of bodies and answers: they take seconds to make, and requests wait for this."""

    def responses(self, operation: Operation) -> dict[int, Told]:
        """Return nothing of the answers."""
        return {}

    def _create_schema_from_model(self, *_model: Any, **_how: Any) -> tuple[Told, bool]:
        return {}, True


@cache
def calls(api: NinjaAPI) -> Told:
    """Return the calls of the API by path, with the words they read of an address, worked out once for a process."""
    paths: Told = Outline(api, "/api/")["paths"]
    return paths


PROBLEM: Told = {
    "title": "Problem",
    "type": "object",
    "description": "A refusal (RFC 9457): what is wrong, in a sentence, and what a program needs.",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What it is, and what was needed."},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "The refusal in a word, for programs."},
        "error": {"type": "string", "description": "The same sentence, on the calls of runbook 1."},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
            "description": "What is wrong, by field.",
        },
        "retry_after": {"type": "integer", "description": "In so many seconds the call may be sent again."},
    },
}
EVERY: dict[int, str | Promise] = {
    400: _("a word or value that cannot be read"),
    401: _("no key, or none that opens anything"),
    403: _("the key may not do that"),
    422: _("a field is missing, unknown or out of range"),
    429: _("too many requests"),
    503: _("the database does not answer"),
}
OF_ONE_ROW: dict[int, str | Promise] = {404: _("no such row"), 405: _("the word stands for a verb, which is posted")}
WRITING: dict[int, str | Promise] = {
    404: _("no such row"),
    409: _("the row's state refuses it, or somebody else is changing it"),
    411: _("the body does not say how long it is"),
    413: _("the body is too large"),
    415: _("the body is no JSON by its type"),
}
LIMIT_HEADERS: Told = {
    "RateLimit-Policy": {
        "schema": {"type": "string"},
        "description": "The limit: so many requests (q) in so many seconds (w).",
    },
    "RateLimit": {
        "schema": {"type": "string"},
        "description": "What is left (r), and in how many seconds all of it is (t).",
    },
}
COMES_AGAIN: Told = {
    "Retry-After": {"schema": {"type": "string"}, "description": "In so many seconds it may be sent again."}
}


def complete(schema: Told) -> None:
    """Write into the documentation what every call may answer beside what it declares, and which call leads to which."""
    schema["components"]["schemas"]["Problem"] = PROBLEM
    for path, calls in schema["paths"].items():
        for method, call in calls.items():
            _complete(call, writes=method == "post", one_row="{" in path)
    for path, calls in schema["paths"].items():
        _link(path, calls, schema["paths"])


def _link(path: str, calls: Told, paths: Told) -> None:
    """Lead from a list, and from what was handed in, to the calls of one row; from a verb to its run."""
    of_one = [call for other, found in paths.items() if other.startswith(f"{path}/{{id}}") for call in found.values()]
    run = paths["/api/action-runs/{id}"]["get"]
    for method, call in calls.items():
        row = "$response.body#/items/0/id" if method == "get" else "$response.body#/id"
        led = [(each, row) for each in of_one] or ([(run, "$response.body#/action_run")] if method == "post" else [])
        links = {each["operationId"]: _lead(each, place) for each, place in led}
        for status, answer in call["responses"].items():
            if links and str(status) in ("200", "202"):
                answer["links"] = links


def _lead(call: Told, place: str) -> Told:
    return {"operationId": call["operationId"], "parameters": {"id": place}}


def _complete(call: Told, *, writes: bool, one_row: bool) -> None:
    refusals = EVERY | (OF_ONE_ROW if one_row else {}) | (WRITING if writes else {})
    answers = call["responses"]
    for answer in answers.values():
        answer["headers"] = answer.get("headers", {}) | LIMIT_HEADERS
    for status, words in sorted(refusals.items()):
        declared = answers.pop(status, {}).get("content", {})  # health answers 503 in its own words, too
        answers[str(status)] = _problem(status, str(words), declared)


def _problem(status: int, words: str, declared: Told) -> Told:
    headers = LIMIT_HEADERS | (COMES_AGAIN if status in (429, 503) else {})
    content = declared | {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": words, "headers": headers, "content": content}
