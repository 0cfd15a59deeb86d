"""What stands for your own application here: a page on one origin, and the API that it asks on another."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

PAGE = """<!DOCTYPE html>
<title>waiting</title>
<script>
  const sent = new URLSearchParams(location.search);
  fetch(sent.get("url"), { method: sent.get("method"), credentials: "include" }).then(
    () => { document.title = "loaded"; },
    () => { document.title = "failed"; },
  );
</script>
"""


class Shop(BaseHTTPRequestHandler):
    """The page; and the API, whose /products names the page's origin, and whose /cart does not; nobody may PUT."""

    def do_GET(self) -> None:
        body = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/products":
            self.send_header("Access-Control-Allow-Origin", self.headers.get("Origin", ""))
            self.send_header("Access-Control-Allow-Credentials", "true")
            self.send_header("Vary", "Origin")
        self.end_headers()
        self.wfile.write(body)

    def do_OPTIONS(self) -> None:
        self.send_response(204)
        self.send_header("Access-Control-Allow-Origin", self.headers.get("Origin", ""))
        self.send_header("Access-Control-Allow-Credentials", "true")
        self.send_header("Access-Control-Allow-Methods", "GET, POST")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def served() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def shop() -> Iterator[SimpleNamespace]:
    """The addresses of the page and of the API: another port is another origin."""
    with served() as page, served() as api:
        yield SimpleNamespace(page=page, api=api)
