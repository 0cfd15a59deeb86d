"""mitmproxy's own files, .mitm."""

from collections.abc import Iterator
from typing import BinaryIO

from mitmproxy import exceptions, flowfilter, http
from mitmproxy.io import FlowReader

from corscope import adapter
from corscope.captures.capture import Damage, Entry, OnDamage


def read_mitm(file: BinaryIO, *, wanted: flowfilter.TFilter | None, damaged: OnDamage) -> Iterator[Entry]:
    """Read mitmproxy's format. `captures.capture.Reader`."""
    try:
        for flow in FlowReader(file).stream():
            if isinstance(flow, http.HTTPFlow):
                head = adapter.head(flow)
                client = adapter.client_key(flow, head)
                exchange = adapter.failed_exchange(flow, client, head) or adapter.exchange(flow, client, head)
                yield Entry(exchange, wanted is None or bool(wanted(flow)))
    except exceptions.FlowReadException as error:
        damaged(Damage(f"byte {file.tell()}", str(error), "the rest"))
