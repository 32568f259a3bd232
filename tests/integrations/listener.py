"""A listener on loopback that says what a test tells it to, byte by byte, and counts who comes."""

import re
import socket
import threading
from collections.abc import Callable

Script = Callable[["Listener", socket.socket], None]


class Listener:
    """Plays a script to each connection, in a thread of its own."""

    def __init__(self, script: Script, host: str = "127.0.0.1") -> None:
        self.script, self.connections = script, 0
        self.requests: list[bytes] = []
        self.socket = socket.create_server((host, 0), backlog=512, family=_family(host))
        self.port: int = self.socket.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self.done = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.done.set()
        self.socket.shutdown(socket.SHUT_RDWR)  # closing alone leaves it listening as long as `accept` waits
        self.socket.close()

    def read(self, connection: socket.socket) -> bytes:
        """Read one request whole and keep it; nothing where the other side hung up."""
        head, body = b"", b""
        while b"\r\n\r\n" not in head:
            if not (chunk := connection.recv(65536)):
                return b""
            head += chunk
        head, _blank, body = head.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while len(body) < int(length[1] if length else 0):
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def _accept(self) -> None:
        while not self.done.is_set():
            try:
                connection, _address = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._play, args=(connection,), daemon=True).start()

    def _play(self, connection: socket.socket) -> None:
        with connection:
            try:
                self.script(self, connection)
            except OSError:
                return  # it hung up: the test sees that on its side


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def answering(head: str, body: bytes = b"") -> Script:
    """Answer every request of a connection alike."""

    def script(listener: Listener, connection: socket.socket) -> None:
        while listener.read(connection):
            connection.sendall(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return script
