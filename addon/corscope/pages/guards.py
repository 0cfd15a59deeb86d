"""What keeps other sites, and other machines, from corscope's pages.

A page of ours is for whoever sits at this proxy. Other sites can neither read it (no answer of the site has CORS
headers, and each is marked for its own origin only), nor frame it, nor make it do anything.
"""

from corscope.lab.answers import Asked, Served
from corscope.lab.scenarios import Lines

PRIVATE: Lines = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
)
"""On every answer of the site."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
"""The Content-Security-Policy of the site: its own files, nothing written inline, and no text as markup."""

SAFE_METHODS = ("GET", "HEAD")


def refusal(asked: Asked) -> Served | None:
    """Return the refusal of a request that another site makes, or None for one of our own.

    Fetch metadata tell where browsers send them, which is not on plain http; there the Origin does for what it is on,
    and `PRIVATE` for the rest.
    """
    origin = asked.header("origin")
    if origin is not None and origin != asked.origin:
        return plain(403, f"This page is not for {origin}.")
    if asked.method not in SAFE_METHODS and origin is None:
        return plain(403, f"A {asked.method} without an Origin is not taken.")
    site = asked.header("sec-fetch-site")
    if site not in (None, "same-origin", "none") and not _is_visit(asked):
        return plain(403, "This page is not for other sites.")
    return None


def _is_visit(asked: Asked) -> bool:
    """Tell whether a link was followed, which any site may have and which gives it nothing."""
    return (
        asked.method in SAFE_METHODS
        and asked.header("sec-fetch-mode") == "navigate"
        and asked.header("sec-fetch-dest") == "document"
    )


def private(served: Served, *, policy: str = POLICY) -> Served:
    """Return an answer of the site with what keeps it private; `policy` is its Content-Security-Policy."""
    headers = (*served.headers, *PRIVATE, ("Content-Security-Policy", policy))
    return Served(status=served.status, headers=headers, content=served.content)


def as_asked(served: Served, method: str, scheme: str) -> Served:
    """Return an answer as a request's method and the URL's scheme have it: to HEAD without its content.

    Over http browsers ignore Cross-Origin-Opener-Policy, and Chromium complains of it in its console.
    """
    content = served.content if method != "HEAD" else b""
    left_out = "Cross-Origin-Opener-Policy" if scheme == "http" else ""
    headers = tuple(line for line in served.headers if line[0] != left_out)
    return Served(status=served.status, headers=headers, content=content)


def plain(status: int, text: str) -> Served:
    """Return a line of text as an answer."""
    return found("text/plain; charset=utf-8", f"{text}\n".encode(), status=status)


def found(kind: str, content: bytes, *, status: int = 200) -> Served:
    """Return a file as an answer; `kind` is its Content-Type."""
    return Served(
        status=status, headers=(("Content-Type", kind), ("Content-Length", str(len(content)))), content=content
    )
