"""A mitmproxy addon that calls the command `cors.clear` when somebody asks for http://clear.example/."""

from __future__ import annotations

from mitmproxy import ctx, http


class Clearing:
    def response(self, flow: http.HTTPFlow) -> None:
        if flow.request.host == "clear.example":
            ctx.master.commands.call("cors.clear", [])


addons = [Clearing()]
