"""A mitmproxy addon: a list of flows as mitmweb has it, which in the end says what is in it."""

from __future__ import annotations

import json
from pathlib import Path

from mitmproxy import addonmanager, ctx
from mitmproxy.addons.view import View


class Listing:
    def load(self, loader: addonmanager.Loader) -> None:
        loader.add_option("listed_file", str, "", "Where to write the hosts of the flows that the list has.")

    def done(self) -> None:
        hosts = [flow.request.host for flow in ctx.master.addons.get("view")]
        Path(ctx.options.listed_file).write_text(json.dumps(hosts), encoding="utf-8")


addons = [Listing(), View()]
