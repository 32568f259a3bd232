"""The far ends that everybody calls: nginx that answers at once, and one that takes as long as its path says."""

import asyncio
import multiprocessing
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from opsconsole.processes import free_port

CONF = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log error;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; client_body_temp_path {folder}/body;
  default_type application/json;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 201 '{{"id": "4711"}}'; }} }}
}}
"""
ANSWER = b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 14\r\nConnection: keep-alive\r\n\r\n{"id": "4711"}'
LENGTH = re.compile(rb"content-length: *(\d+)", re.I)


class Absent(SystemExit):
    """nginx is not there."""


@contextmanager
def running() -> Iterator[str]:
    """Run nginx with one process; give the address at which it answers 201 and an id, at once, over kept connections."""
    found = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin")
    if found is None:
        raise Absent("nginx is needed as the far end: apt-get install nginx-light")
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        conf = Path(folder, "nginx.conf")
        conf.write_text(CONF.format(folder=folder, port=port))
        nginx = subprocess.Popen([found, "-e", f"{folder}/error.log", "-c", str(conf)])  # noqa: S603 # found by name
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}/"
        finally:
            nginx.terminate()
            nginx.wait()


@contextmanager
def slow(seconds: float) -> Iterator[str]:
    """Run a far end, in a process of its own, that answers each call after so many seconds; give its address."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(port, seconds), daemon=True)
    process.start()
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.join()


def _wait_for(port: int) -> None:
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"The far end does not answer at port {port}.")


def _serve(port: int, seconds: float) -> None:
    asyncio.run(_listen(port, seconds))


async def _listen(port: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Slow(loop, seconds), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


class _Slow(asyncio.Protocol):
    """Reads no more of a request than where it ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.loop, self.seconds, self.read = loop, seconds, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go to."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request, later."""
        self.read += data
        while b"\r\n\r\n" in self.read:
            head, _blank, rest = self.read.partition(b"\r\n\r\n")
            length = LENGTH.search(head)
            size = int(length[1]) if length else 0
            if len(rest) < size:
                return
            self.read = rest[size:]
            self.loop.call_later(self.seconds, self._answer)

    def _answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(ANSWER)  # type: ignore[attr-defined] # a transport that can be written to
