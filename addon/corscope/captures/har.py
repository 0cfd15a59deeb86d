"""HAR, the HTTP archive format."""

from collections.abc import Iterator
from typing import BinaryIO

from mitmproxy import exceptions, flowfilter, http
from mitmproxy.io import FlowReader

from corscope import adapter
from corscope.captures.capture import Entry, OnDamage, UnreadableCapture


def read_har(
    file: BinaryIO,
    *,
    wanted: flowfilter.TFilter | None,
    damaged: OnDamage,  # noqa: ARG001
) -> Iterator[Entry]:
    """Read a HAR. `captures.capture.Reader`."""
    try:
        for number, flow in enumerate(FlowReader(file).stream()):
            if isinstance(flow, http.HTTPFlow):
                head = adapter.head(flow)
                exchange = adapter.exchange(flow, adapter.client_key(flow, head), head)
                exchange.id = str(number)
                yield Entry(exchange, wanted is None or bool(wanted(flow)))
    except exceptions.FlowReadException as error:
        raise UnreadableCapture(str(error)) from error
