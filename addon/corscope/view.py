"""The "CORS" view of a flow in mitmproxy and mitmweb: the verdict in place of the body."""

import textwrap

from mitmproxy import contentviews

from corscope.adapter import METADATA_KEY, NOT_OURS, told
from corscope.advice import configuration_lines
from corscope.report import explanation

NO_VERDICT = f"What the flow's metadata has as `{METADATA_KEY}` is no verdict of ours."


class CORSContentview(contentviews.Contentview):
    """Shows what is known of the flow; never chosen by itself."""

    @property
    def name(self) -> str:
        return "CORS"

    def prettify(self, data: bytes, metadata: contentviews.Metadata) -> str:
        """Return the explanation of the flow's verdict; the body is not looked at."""
        flow = metadata.flow
        verdict = told(flow.metadata) if flow is not None else None
        if verdict is None:
            return "Not subject to CORS, or not judged."
        try:
            explained, configuration = explanation(verdict), configuration_lines(verdict)
        except NOT_OURS:
            return NO_VERDICT
        # mitmweb neither breaks lines nor shows more than about 88 characters of one.
        lines = [
            textwrap.fill(line, 84, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
            for line in explained
        ]
        return "\n".join([*lines, *configuration])

    def render_priority(self, data: bytes, metadata: contentviews.Metadata) -> float:
        return -1
