"""The web server's lines among ours, and its access log without what an address may hold: the secret of a webhook's
door, a token in a query."""

import logging.config
from functools import partial
from typing import Any

from django.conf import settings
from gunicorn.glogging import Logger, SafeAtoms  # type: ignore[import-untyped] # has no types

from apps.integrations.masking import masked_url
from opsconsole import gathering
from opsconsole.log_lines import MaskedJson

OWN = frozenset("hltsmHBbDTMLp")
"""gunicorn's letters for what no client words: the address, times, the status, sizes and the like."""


class MaskedAtoms(SafeAtoms):  # type: ignore[misc] # gunicorn has no types
    """What a line of the access log is made of: masked where a client worded it, as the line asks for it."""

    def __init__(self, atoms: dict[str, Any]) -> None:
        # The base's goes through all there are, every header and more, of which few are asked for.
        dict.__init__(self, atoms)

    def __getitem__(self, letter: str) -> Any:
        """Return a part of the line."""
        told = super().__getitem__(letter)
        return told if letter in OWN else masked_url(str(told)).replace('"', '\\"')


class MaskedLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's logger: what it says of itself goes where our lines go, and of each request the parts are written masked."""

    atoms_wrapper_class = MaskedAtoms

    def access(self, *of_request: Any) -> None:
        """Write the line of a request a moment later, beside others; it bears that moment."""
        gathering.ours.put(partial(super().access, *of_request))

    def setup(self, cfg: Any) -> None:
        """Hand its lines over. The arbiter loads no application, so it reads where lines go by itself."""
        super().setup(cfg)
        logging.config.dictConfig(settings.LOGGING)
        for handler in [each for each in self.error_log.handlers if getattr(each, "_gunicorn", False)]:
            self.error_log.removeHandler(handler)
        self.error_log.propagate = True
        if settings.PRODUCTION:
            for handler in self.access_log.handlers:
                handler.setFormatter(MaskedJson())
