"""corscope: judges CORS exchanges in mitmproxy as real browsers do.

Importing the package costs nothing: no module of mitmproxy is loaded before it is needed.
"""

__version__ = "0.1.0"
