"""Recorded traffic as exchanges: mitmproxy's own files and HAR, from wherever people keep them."""
