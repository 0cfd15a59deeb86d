"""mitmproxy's flow filters. mitmproxy, which takes a while to load, is imported where there is a filter only."""

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mitmproxy import flowfilter

type Filter = flowfilter.TFilter
"""A parsed filter: tells of a flow whether it is wanted."""


def parse(expression: str) -> Filter | None:
    """Parse a flow filter, None for the empty one. Raises ValueError with an example."""
    if not expression:
        return None
    with warnings.catch_warnings():
        # What mitmproxy uses of its own dependencies is not for those to hear of who test with warnings as errors.
        warnings.simplefilter("ignore", DeprecationWarning)
        from mitmproxy import flowfilter

        try:
            return flowfilter.parse(expression)
        except ValueError as error:
            raise ValueError(f"{expression!r} is no flow filter ({error}); an example is ~d api.example") from error
