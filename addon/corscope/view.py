"""The "CORS" view of a flow in mitmproxy and mitmweb: the verdict in place of the body."""

import textwrap
from typing import Any

from mitmproxy import contentviews

from corscope.policy import Policy
from corscope.report import explanation
from corscope.stacks import STACKS, configuration

METADATA_KEY = "corscope"
"""Where a flow's verdict is kept: `~meta` finds it."""

ALLOWS = "It allows what this traffic shows: add what else your pages use."
"""Said before a configuration: a site's pages ask for more than one story tells."""


def configuration_lines(verdict: dict[str, Any], stack: str = "") -> list[str]:
    """Return the configuration that mends a verdict's story, line by line, from its JSON form.

    It is for the server software named, or for the one that was chosen or guessed; nothing where there is none.
    """
    fix = verdict.get("fix")
    if fix is None:
        return []
    chosen = fix.get("stack") or {}
    stack = stack or chosen.get("id", "")
    if not stack:
        return []
    title, file = STACKS[stack].title, STACKS[stack].file
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in fix["policy"].items()
    }
    policy = Policy(**values)
    told = f" ({chosen['evidence']})" if chosen.get("id") == stack and chosen.get("evidence") else ""
    try:
        lines = configuration(stack, policy).splitlines()
    except ValueError as error:
        return ["", f"Configuration for {title}: {error}."]
    return ["", f"Configuration for {title}{told}, in {file}:", ALLOWS, "", *lines]


class CORSContentview(contentviews.Contentview):
    """Shows what is known of the flow; never chosen by itself."""

    @property
    def name(self) -> str:
        return "CORS"

    def prettify(self, data: bytes, metadata: contentviews.Metadata) -> str:
        """Return the explanation of the flow's verdict; the body is not looked at."""
        flow = metadata.flow
        verdict = flow.metadata.get(METADATA_KEY) if flow is not None else None
        if verdict is None:
            return "Not subject to CORS, or not judged."
        # mitmweb neither breaks lines nor shows more than about 88 characters of one.
        lines = [
            textwrap.fill(line, 84, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
            for line in explanation(verdict)
        ]
        return "\n".join([*lines, *configuration_lines(verdict)])

    def render_priority(self, data: bytes, metadata: contentviews.Metadata) -> float:
        return -1
