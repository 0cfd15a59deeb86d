"""The mitmproxy addon that serves the lab, localhost included, and keeps what the page reports.

mitmproxy must not connect before it has a request (`connection_strategy=lazy`).
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from mitmproxy import ctx, http
from mitmproxy.addonmanager import Loader

from corscope.lab.answers import RESULTS_PATH, origins
from corscope.lab.web import LabWeb, request_origin

logger = logging.getLogger(__name__)


class Lab:
    """Serves the lab, and appends the page's reports to a file."""

    def __init__(self) -> None:
        self._web = LabWeb(local=True)

    def load(self, loader: Loader) -> None:
        """Adds the option."""
        loader.add_option("cors_lab_results", str, "", "Append what the lab's page saw to this file, as JSON Lines.")

    def request(self, flow: http.HTTPFlow) -> None:
        """Answers requests to the lab's hosts; others pass."""
        if flow.response or request_origin(flow.request) not in origins():
            return
        if flow.request.path == RESULTS_PATH and flow.request.method == "POST":
            self._keep(flow.request.get_content(strict=False) or b"")
        flow.response = self._web.answer(flow)

    def _keep(self, report: bytes) -> None:
        if not ctx.options.cors_lab_results:
            return
        try:
            said = json.loads(report)
        except ValueError:
            logger.warning("The lab's page sent a report that is no JSON.")
            return
        with Path(ctx.options.cors_lab_results).open("a", encoding="utf-8") as file:
            file.write(json.dumps(said, separators=(",", ":")) + "\n")
