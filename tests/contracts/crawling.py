"""Following the links of the console's pages."""

import re
from html import unescape
from urllib.parse import urldefrag, urljoin, urlsplit


def kind(path: str) -> str:
    """Return what kind of page an address is of: without ids, with a query or without, whatever it asks for."""
    page, question, _query = path.partition("?")
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "*", page) + question


def links(path: str, page: str) -> list[str]:
    """Return the addresses of ours that a page leads to, those that it asks for by itself among them."""
    found = (urljoin(path, unescape(href)) for href in re.findall(r'(?:href|hx-get)="([^"]+)"', page))
    return [urldefrag(href)[0] for href in found if not urlsplit(href).netloc and href.startswith("/admin/")]
