"""corscope's own site: `http://corscope.test/`, and over https alike."""

from importlib.resources import files
from types import MappingProxyType

from corscope.lab.answers import Asked, Served
from corscope.pages.guards import SAFE_METHODS, found, plain, refusal

HTML, CSS = "text/html; charset=utf-8", "text/css; charset=utf-8"

FILES = MappingProxyType(
    {
        "/": ("home.html", HTML),
        "/site.css": ("site.css", CSS),
    }
)
"""Path to file and type."""


class Site:
    """Answers for `corscope.test`."""

    async def answer(self, asked: Asked) -> Served:
        """Return the answer to a request, refusals included."""
        return refusal(asked) or await self._found(asked)

    async def _found(self, asked: Asked) -> Served:
        path = asked.path.partition("?")[0]
        if path not in FILES:
            return plain(404, f"corscope has no page {path}; http://corscope.test/ lists them.")
        if asked.method not in SAFE_METHODS:
            return plain(405, f"{path} takes {' and '.join(SAFE_METHODS)}, not {asked.method}.")
        name, kind = FILES[path]
        return found(kind, files("corscope.pages").joinpath(name).read_bytes())
