"""Servers on loopback that answer with exactly the bytes they are told to, and keep every byte they received."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    head: bytes
    """With its empty line."""
    body: bytes

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode("latin-1")

    @property
    def path(self) -> str:
        return self.head.split(b" ", 2)[1].decode("latin-1")

    def header(self, name: str) -> str | None:
        """The first value of a header; None without one."""
        found = re.search(rf"\r\n{re.escape(name)}:[ \t]*([^\r]*)\r\n".encode(), self.head, re.IGNORECASE)
        return found[1].decode("latin-1") if found else None


type Handler = Callable[[Asked, socket.socket], None]
"""Answers by writing to the connection; closing it ends it."""


class RawServer:
    """Serves every connection in a thread of its own. A context manager, which closes it."""

    def __init__(self, handler: Handler, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self._handler = handler
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        if self._context:
            try:
                connection = self._context.wrap_socket(connection, server_side=True)
            except OSError:
                connection.close()
                return
        self._open.append(connection)
        stream = connection.makefile("rb")
        try:
            while asked := read_request(stream.readline, stream.read):
                self.asked.append(asked)
                self._handler(asked, connection)
        except (OSError, ValueError):
            pass  # the proxy or the handler closed the connection
        finally:
            stream.close()
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Closing alone would not wake a thread that waits.
        hang_up(self._listener)
        self._acceptor.join(20)
        for connection in self._open:
            hang_up(connection)
        for thread in self._threads:
            thread.join(20)
        self._listener.close()


def hang_up(connection: socket.socket) -> None:
    """Ends a connection at once, whoever else still has it open here."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def read_request(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> Asked | None:
    """Reads one request with its body, chunked ones as they are; None at the connection's end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = readline()
        if not line:
            return None
        head += line
    if found := re.search(rb"\r\ncontent-length:[ \t]*(\d+)", head, re.IGNORECASE):
        return Asked(head, read(int(found[1])))
    if not re.search(rb"\r\ntransfer-encoding:[ \t]*chunked", head, re.IGNORECASE):
        return Asked(head, b"")
    body = b""
    while not body.endswith(b"0\r\n\r\n"):
        size = readline()
        body += size + read(int(size.split(b";")[0], 16) + 2)
    return Asked(head, body)


def respond(connection: socket.socket, *lines: str, status: str = "200 OK", body: bytes = b"") -> None:
    """Writes a whole response, with its length."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines, f"Content-Length: {len(body)}", "", ""])
    connection.sendall(head.encode("latin-1") + body)
