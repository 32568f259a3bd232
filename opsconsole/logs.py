"""The web server's lines among ours, and its access log without what an address may hold: the secret of a webhook's
door, a token in a query."""

import logging.config
from typing import Any

from django.conf import settings
from gunicorn.glogging import Logger  # type: ignore[import-untyped] # has no types

from apps.integrations.masking import masked_url
from opsconsole.log_lines import Json

ADDRESSES = ("r", "U", "q", "f")
"""gunicorn's letters for the request line, the path, the query and the referrer."""


class MaskedLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's logger: what it says of itself goes where our lines go, and addresses are written masked."""

    def setup(self, cfg: Any) -> None:
        """Hand its lines over. The arbiter loads no application, so it reads where lines go by itself."""
        super().setup(cfg)
        logging.config.dictConfig(settings.LOGGING)
        for handler in [each for each in self.error_log.handlers if getattr(each, "_gunicorn", False)]:
            self.error_log.removeHandler(handler)
        self.error_log.propagate = True
        if settings.PRODUCTION:
            for handler in self.access_log.handlers:
                handler.setFormatter(Json())

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        """Return what a line is made of."""
        found: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        return found | {letter: masked_url(str(found[letter])) for letter in ADDRESSES if found.get(letter)}
