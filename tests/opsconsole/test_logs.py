from types import SimpleNamespace

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped] # has no types
from gunicorn.glogging import Logger  # type: ignore[import-untyped] # has no types

from opsconsole import gathering
from opsconsole.gathering import Gathering
from opsconsole.logs import MaskedLogger


def test_the_line_of_a_request_is_written_when_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(gathering, "ours", work := Gathering())
    monkeypatch.setattr(gathering, "MOMENT_SECONDS", 60)
    monkeypatch.setattr(Logger, "access", lambda _log, *of_request: written.extend(of_request))
    MaskedLogger(Config()).access("answer", "request")
    assert written == []
    work.flush()
    assert written == ["answer", "request"]


def test_the_access_log_tells_no_secret_of_an_address() -> None:
    request = SimpleNamespace(headers=[("REFERER", "https://x.example.com/?token=abc")])
    response = SimpleNamespace(status="200 OK", sent=2, headers=[])
    environ = {
        "REQUEST_METHOD": "POST",
        "RAW_URI": "/webhook/forms/very-secret?api_key=abc",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "PATH_INFO": "/webhook/forms/very-secret",
        "QUERY_STRING": "api_key=abc",
        "HTTP_REFERER": "https://x.example.com/?token=abc",
    }
    took = SimpleNamespace(seconds=0, microseconds=5)
    log = MaskedLogger(Config())
    written = log.atoms_wrapper_class(log.atoms(response, request, environ, took))
    assert written["r"].startswith("POST /webhook/forms/•••")
    assert "very-secret" not in str([written[letter] for letter in "rUqf"])
    assert "abc" not in str([written[letter] for letter in "rqf"])
    assert "abc" not in written["{referer}i"]
    assert (written["s"], written["m"], written["{none}i"]) == ("200", "POST", "-")
