"""Entries whose captured texts are fit for any report."""

from corscope.formats.document import Entry
from corscope.privacy import plain


def plain_entry(entry: Entry) -> Entry:
    """Return an entry all of whose texts are plain."""
    return {key: _plain_value(value) for key, value in entry.items()}


def _plain_value(value: object) -> object:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(key): _plain_value(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain_value(one) for one in value]
    return value
