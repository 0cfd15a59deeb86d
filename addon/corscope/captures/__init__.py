"""Recorded traffic as exchanges: mitmproxy's own files and HAR, from wherever people keep them."""

import corscope.flow_filters  # noqa: F401 - first, for it imports mitmproxy's without their warnings
