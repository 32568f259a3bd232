"""The web server's access log without what an address may hold: the secret of a webhook's door, a token in a query."""

from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped] # has no types

from apps.integrations.masking import masked_text

ADDRESSES = ("r", "U", "q", "f")
"""gunicorn's letters for the request line, the path, the query and the referrer."""


class MaskedLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's logger, which writes addresses masked."""

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        """Return what a line is made of."""
        found: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        return found | {letter: masked_text(str(found[letter])) for letter in ADDRESSES if found.get(letter)}
