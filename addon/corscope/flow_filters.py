"""mitmproxy's flow filters."""

import warnings

with warnings.catch_warnings():
    # What mitmproxy uses of its own dependencies is not for those to hear of who test with warnings as errors.
    warnings.simplefilter("ignore", DeprecationWarning)
    from mitmproxy import flowfilter


def parse(expression: str) -> flowfilter.TFilter | None:
    """Parse a flow filter, None for the empty one. Raises ValueError with an example."""
    if not expression:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return flowfilter.parse(expression)
    except ValueError as error:
        raise ValueError(f"{expression!r} is no flow filter ({error}); an example is ~d api.example") from error
