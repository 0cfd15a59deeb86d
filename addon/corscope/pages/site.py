"""corscope's own site: `http://corscope.test/`, and over https alike."""

import re
from importlib.resources import files
from types import MappingProxyType

from corscope.lab.answers import Asked, Served
from corscope.pages.guards import SAFE_METHODS, found, plain, refusal
from corscope.pages.history import History
from corscope.pages.live import SAVED, Live

HTML, CSS = "text/html; charset=utf-8", "text/css; charset=utf-8"
SCRIPT, ICON = "text/javascript; charset=utf-8", "image/svg+xml"

PAGES, REPORT = "corscope.pages", "corscope.formats"

FILES = MappingProxyType(
    {
        "/": (PAGES, "home.html", HTML),
        "/live": (PAGES, "live.html", HTML),
        "/live.js": (PAGES, "live.js", SCRIPT),
        "/site.css": (PAGES, "site.css", CSS),
        "/icon.svg": (PAGES, "icon.svg", ICON),
        "/report.css": (REPORT, "report.css", CSS),
        "/report.js": (REPORT, "report.js", SCRIPT),
        "/story.js": (REPORT, "story.js", SCRIPT),
    }
)
"""Path to package, file and type: what the HTML report writes into one file is served here as it stands."""

_SAVED = re.compile(rf"/live/(story|report)\.({'|'.join(SAVED)})")


class Site:
    """Answers for `corscope.test`."""

    def __init__(self, history: History) -> None:
        self.live = Live(history)

    async def answer(self, asked: Asked) -> Served:
        """Return the answer to a request, refusals included."""
        return refusal(asked) or await self._found(asked)

    async def _found(self, asked: Asked) -> Served:
        path = asked.path.partition("?")[0]
        saved = _SAVED.fullmatch(path)
        if path not in FILES and path != "/live/events" and saved is None:
            return plain(404, f"corscope has no page {path}; http://corscope.test/ lists them.")
        if asked.method not in SAFE_METHODS:
            return plain(405, f"{path} takes {' and '.join(SAFE_METHODS)}, not {asked.method}.")
        if path == "/live/events":
            return await self.live.events(asked)
        if saved is not None:
            return await self.live.save(asked, saved[1], saved[2])
        package, name, kind = FILES[path]
        return found(kind, files(package).joinpath(name).read_bytes())
