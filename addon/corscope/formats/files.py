"""Where a capture is, as the tools of code hosts want it: relative to the folder that the command was started in."""

import os
from pathlib import Path
from urllib.parse import quote


def shown_path(name: str) -> str:
    """Return a capture's path with forward slashes, relative where the capture is in the folder at work or below it."""
    path = Path(name)
    if path.is_absolute() and path.is_relative_to(os.getcwd()):
        path = path.relative_to(os.getcwd())
    return path.as_posix()


def relative_uri(name: str) -> str:
    """Return the same as a URI reference; for a capture elsewhere a `file:` URI."""
    path = shown_path(name)
    return Path(path).as_uri() if Path(path).is_absolute() else quote(path)
