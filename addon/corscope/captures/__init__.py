"""Recorded traffic as exchanges: mitmproxy's own files and HAR, from wherever people keep them."""

import warnings

with warnings.catch_warnings():
    # What mitmproxy uses of its own dependencies is not for those to hear of who test with warnings as errors.
    warnings.simplefilter("ignore", DeprecationWarning)
    import mitmproxy.flowfilter
    import mitmproxy.io  # noqa: F401
