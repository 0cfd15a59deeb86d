"""What mitmproxy itself reads of captures. Imported where that is needed only: loading mitmproxy takes a while."""

import gc
import warnings
from typing import Any

from corscope import adapter
from corscope.captures.capture import Entry
from corscope.flow_filters import Filter

with warnings.catch_warnings():
    # What mitmproxy uses of its own dependencies is not for those to hear of who test with warnings as errors.
    warnings.simplefilter("ignore", DeprecationWarning)
    from mitmproxy import exceptions, flow, flowfilter, http
    from mitmproxy.io import compat, tnetstring
    from mitmproxy.io.har import request_to_flow


LEFT_BEHIND = 32_000_000
"""Bytes of flows after which Python is to look for what of them is left: mitmproxy's check of what it reads keeps an
exception with its traceback, and so the whole flow, in a cycle (mitmproxy/utils/typecheck.py), and Python counts
objects, not bytes."""

_left_behind = 0


def _leave_behind(size: int) -> None:
    """Take note of a flow of so many bytes."""
    global _left_behind
    _left_behind += size
    if _left_behind > LEFT_BEHIND:
        _left_behind = 0
        gc.collect(1)


def asks_for_bodies(wanted: object) -> bool:
    """Tell whether a flow filter looks at bodies, which then are not passed over."""
    if isinstance(wanted, flowfilter.FAnd | flowfilter.FOr):
        return any(map(asks_for_bodies, wanted.lst))
    if isinstance(wanted, flowfilter.FNot):
        return asks_for_bodies(wanted.itm)
    return isinstance(wanted, flowfilter.FBod | flowfilter.FBodRequest | flowfilter.FBodResponse)


def read_flow(data: bytes | memoryview, wanted: Filter | None) -> Entry | None:
    """Return the entry of a flow as mitmproxy reads it; None where it is none of HTTP's.

    What a damaged flow makes mitmproxy raise is not known.
    """
    _leave_behind(len(data))
    loaded = tnetstring.parse(data[-1], memoryview(data)[:-1])
    if not isinstance(loaded, dict):
        raise TypeError("it is no dictionary")
    # Typed for bytes as keys, which were those of early versions.
    one = flow.Flow.from_state(compat.migrate_flow(loaded))
    if not isinstance(one, http.HTTPFlow):
        return None
    head = adapter.head(one)
    client = adapter.client_key(one, head)
    exchange = adapter.failed_exchange(one, client, head) or adapter.exchange(one, client, head)
    exchange.edited = adapter.was_edited(one.metadata)
    return Entry(exchange, wanted is None or bool(wanted(one)))


class NotConverted(Exception):
    """mitmproxy can't make a flow of a HAR's entry; the message is its error's name."""


def wants_entry(wanted: Filter, entry: dict[str, Any]) -> bool:
    """Ask a filter about a HAR's entry. Raises NotConverted."""
    try:
        one = request_to_flow(entry)
    except _NOT_CONVERTED as error:
        raise NotConverted(type(error).__name__) from error
    for message in (one.request, one.response):
        _leave_behind(len(message.raw_content or b"") if message is not None else 0)
    return bool(wanted(one))


_NOT_CONVERTED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    exceptions.MitmproxyException,
)
"""How mitmproxy's own reader fails on entries that it does not expect."""
