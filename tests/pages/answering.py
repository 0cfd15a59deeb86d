"""A mitmproxy addon that gives each request the answer that it asks for, and counts what wants to go to the network."""

from __future__ import annotations

import json
from pathlib import Path

from mitmproxy import addonmanager, ctx, http
from mitmproxy.proxy import server_hooks

WANTED = "x-answer"
"""The request header with status and header lines as JSON; nobody else sees it."""


class Answering:
    """Needs no server."""

    def load(self, loader: addonmanager.Loader) -> None:
        loader.add_option("connects_file", str, "", "Where to write what a connection was wanted to, one a line.")

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        wanted = flow.request.headers.pop(WANTED, None)
        if wanted is not None:
            flow.metadata[WANTED] = wanted

    def request(self, flow: http.HTTPFlow) -> None:
        wanted = flow.metadata.pop(WANTED, None)
        if wanted is not None:
            status, lines = json.loads(wanted)
            fields = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in lines]
            flow.response = http.Response.make(status, b"", http.Headers(fields))

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        if ctx.options.connects_file:
            with Path(ctx.options.connects_file).open("a", encoding="utf-8") as file:
                file.write(f"{data.server.address}\n")


addons = [Answering()]
