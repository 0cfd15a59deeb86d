"""The playground's presets: the classic questions about CORS, each a document that answers it.

The page signs its visitor in with the lab's own API: a cookie travels with credentialed requests to `corscope.test`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

type Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A question that the playground answers."""

    id: str
    """Permanent: links name it."""
    group: str
    title: str
    text: str
    """What it shows, in one or two sentences."""
    document: Document
    insecure: bool = True
    """Whether it shows the same over plain http."""
    finding: str | None = None
    """What corscope is to find, where the point is a finding."""


ANYONE, ECHO, PAGE = (["Access-Control-Allow-Origin", value] for value in ("*", "$ORIGIN", "$PAGE"))
CREDENTIALS = ["Access-Control-Allow-Credentials", "true"]
VARY = ["Vary", "Origin"]
GOOD = [ECHO, CREDENTIALS, VARY]


def _allow_headers(value: str) -> list[str]:
    return ["Access-Control-Allow-Headers", value]


def _allow_methods(value: str) -> list[str]:
    return ["Access-Control-Allow-Methods", value]


def _made(
    *answers: list[list[str]] | Document,
    at: str = "sibling",
    preflight: Document | None = None,
    redirect: Document | None = None,
    context: str | None = None,
    follow: str | None = None,
    **request: Any,  # noqa: ANN401 - whatever a request has
) -> Document:
    """Returns a document: a request by `fetch`, unless another initiator is named, and what is answered."""
    server: Document = {"at": at, "answers": [one if isinstance(one, dict) else {"headers": one} for one in answers]}
    if preflight is not None:
        server["preflight"] = {"status": 204, **preflight}
    document: Document = {"request": {"initiator": "fetch", **request}, "server": server}
    for key, value in (("from", context), ("redirect", follow)):
        if value is not None:
            document["request"][key] = value
    if redirect is not None:
        document["redirect"] = redirect
    return document


def _redirect(*headers: list[str], status: int = 302) -> Document:
    return {"status": status, "headers": list(headers)}


INCLUDE: Document = {"credentials": "include"}
_COOKIE = "session=1"

FIRST, CREDENTIALED, COOKIES, PREFLIGHTS, REDIRECTS, ELEMENTS = (
    "First steps",
    "Credentials",
    "Cookies and logins",
    "Preflights",
    "Redirects and errors",
    "Elements",
)

PRESETS = (
    # -- first steps
    Preset(
        id="no-header",
        group=FIRST,
        title="No CORS header at all",
        text="The API answers as if there were no CORS. The server did its work; the browser keeps the answer from the "
        "page.",
        document=_made([]),
        finding="allow-origin-missing",
    ),
    Preset(
        id="anyone",
        group=FIRST,
        title="Open to anyone",
        text="For public data without cookies one header is enough: Access-Control-Allow-Origin: *.",
        document=_made([ANYONE]),
    ),
    Preset(
        id="trailing-slash",
        group=FIRST,
        title="A trailing slash",
        text="An origin ends after the host or port. With a slash behind it, it is another string, and strings "
        "are what the browser compares.",
        document=_made([["Access-Control-Allow-Origin", "$PAGE/"], VARY]),
        finding="allow-origin-trailing-slash",
    ),
    Preset(
        id="two-origins",
        group=FIRST,
        title="Two origins in one header",
        text="Access-Control-Allow-Origin names one origin or is *. A list is not understood, even if the page "
        "is on it.",
        document=_made([["Access-Control-Allow-Origin", "$PAGE, https://elsewhere.example"]]),
        finding="allow-origin-list",
    ),
    Preset(
        id="header-twice",
        group=FIRST,
        title="The header twice",
        text="The application and the proxy before it both add the header: together they are a list.",
        document=_made([PAGE, PAGE]),
        finding="allow-origin-twice",
    ),
    Preset(
        id="no-cors",
        group=FIRST,
        title='mode: "no-cors" is no way out',
        text="The request succeeds, but the response is opaque: status 0, no headers, no body.",
        document=_made([], mode="no-cors"),
    ),
    Preset(
        id="expose-headers",
        group=FIRST,
        title="A header that the page can't read",
        text="X-Total-Count is on the wire, yet response.headers has no such thing: Access-Control-Expose-Headers has "
        "to name it.",
        document=_made([ANYONE, ["X-Total-Count", "42"]]),
        finding="response-headers-not-exposed",
    ),
    Preset(
        id="sandboxed-frame",
        group=FIRST,
        title="A sandboxed frame: Origin: null",
        text="Without allow-same-origin a frame has an opaque origin, null on the wire; the page's own origin does not "
        "match it.",
        document=_made([PAGE, VARY], context="sandbox"),
        finding="origin-is-null",
    ),
    # -- credentials
    Preset(
        id="wildcard-with-credentials",
        group=CREDENTIALED,
        title="Wildcard with credentials",
        text="A request that carries cookies must be answered with the page's own origin: * does not count then.",
        document=_made([ANYONE, CREDENTIALS], **INCLUDE),
        finding="allow-origin-wildcard-with-credentials",
    ),
    Preset(
        id="missing-allow-credentials",
        group=CREDENTIALED,
        title="Missing Allow-Credentials",
        text="The origin is right, but nothing says that the answer to a credentialed request may be read.",
        document=_made([ECHO, VARY], **INCLUDE),
        finding="allow-credentials-missing",
    ),
    Preset(
        id="allow-credentials-true-capitalised",
        group=CREDENTIALED,
        title="Allow-Credentials: True",
        text="The value is compared byte by byte: Python's True, or TRUE, is not true.",
        document=_made([ECHO, ["Access-Control-Allow-Credentials", "True"], VARY], **INCLUDE),
        finding="allow-credentials-case",
    ),
    Preset(
        id="credentials-right",
        group=CREDENTIALED,
        title="Credentials done right",
        text="The origin echoed after a look at a list of one's own, Allow-Credentials: true, and Vary: Origin for "
        "caches.",
        document=_made(GOOD, **INCLUDE),
    ),
    Preset(
        id="not-opted-in",
        group=CREDENTIALED,
        title="The script forgot credentials",
        text="The server allows credentials, and the cookie is there: but fetch leaves cookies out of cross-origin "
        'requests unless it is told credentials: "include".',
        document=_made({"status": 401, "headers": GOOD}),
        finding="client-did-not-opt-in",
    ),
    Preset(
        id="eventsource-with-credentials",
        group=CREDENTIALED,
        title="EventSource with credentials",
        text="new EventSource(url, {withCredentials: true}) is held to the same rule: no wildcard.",
        document=_made({"headers": [ANYONE], "body": "events"}, initiator="eventsource", **INCLUDE),
        finding="allow-origin-wildcard-with-credentials",
    ),
    # -- cookies and logins
    Preset(
        id="samesite-lax",
        group=COOKIES,
        title="SameSite=Lax and a cross-site call",
        text="The login sets a cookie with SameSite=Lax, from another site: the browser does not take it, and the next "
        "call goes without.",
        document=_made([*GOOD, ["Set-Cookie", f"{_COOKIE}; HttpOnly; SameSite=Lax"]], at="cross", times=2, **INCLUDE),
        finding="cookie-samesite-lax",
    ),
    Preset(
        id="third-party-cookie",
        group=COOKIES,
        title="Third-party cookie",
        text="With SameSite=None; Secure the cookie is taken from another site, unless the browser blocks or "
        "partitions third-party cookies. The second call tells whether it came back.",
        document=_made(
            [*GOOD, ["Set-Cookie", f"{_COOKIE}; HttpOnly; Secure; SameSite=None"]], at="cross", times=2, **INCLUDE
        ),
        insecure=False,
    ),
    Preset(
        id="partitioned-cookie",
        group=COOKIES,
        title="Partitioned third-party cookie",
        text="Partitioned asks for a jar of its own for each top-level site, which browsers that block third-party "
        "cookies still give.",
        document=_made(
            [*GOOD, ["Set-Cookie", f"{_COOKIE}; HttpOnly; Secure; SameSite=None; Partitioned"]],
            at="cross",
            times=2,
            **INCLUDE,
        ),
        insecure=False,
    ),
    Preset(
        id="authorization-by-browser",
        group=COOKIES,
        title="Authorization by the browser (Basic)",
        text="The browser was signed in at the API with a password (a frame of the API's own does that first), and "
        "sends it by itself from then on. There is no preflight, but the request is credentialed: the wildcard fails.",
        document=_made(
            {"status": 401, "headers": [["WWW-Authenticate", 'Basic realm="playground"']]},
            [ANYONE],
            user="user:password",
            **INCLUDE,
        ),
        finding="allow-origin-wildcard-with-credentials",
    ),
    Preset(
        id="authorization-by-application",
        group=COOKIES,
        title="Authorization by the application (bearer)",
        text="A token that a script sets is a header like any other: it needs a preflight that names Authorization, "
        "but no credentials mode, and the wildcard origin will do.",
        document=_made(
            [ANYONE],
            preflight={"headers": [ANYONE, _allow_headers("Authorization")]},
            headers=[["Authorization", "Bearer playground"]],
        ),
    ),
    Preset(
        id="authorization-not-allowed",
        group=COOKIES,
        title="Bearer token, not allowed",
        text="The preflight allows Content-Type only: the browser never sends the request with the token.",
        document=_made(
            [ANYONE],
            preflight={"headers": [ANYONE, _allow_headers("Content-Type")]},
            headers=[["Authorization", "Bearer playground"]],
        ),
        finding="authorization-not-allowed",
    ),
    # -- preflights
    Preset(
        id="preflight",
        group=PREFLIGHTS,
        title="Why there is an OPTIONS request",
        text="A form can't send JSON or PUT, so the browser asks first. Here the server permits both.",
        document=_made(
            [ANYONE],
            preflight={"headers": [ANYONE, _allow_methods("PUT"), _allow_headers("Content-Type")]},
            method="PUT",
            headers=[["Content-Type", "application/json"]],
            body='{"name": "corscope"}',
        ),
    ),
    Preset(
        id="preflight-unauthorized",
        group=PREFLIGHTS,
        title="401 on OPTIONS",
        text="Authentication stands before CORS. A preflight never carries credentials, so it can't pass a login.",
        document=_made(
            [ANYONE],
            preflight={"status": 401, "headers": [ANYONE, _allow_headers("Authorization")]},
            headers=[["Authorization", "Bearer playground"]],
        ),
        finding="preflight-needs-authentication",
    ),
    Preset(
        id="options-not-routed",
        group=PREFLIGHTS,
        title="405 on OPTIONS",
        text="The framework knows PUT for this path, but not OPTIONS: the PUT is never sent.",
        document=_made(
            [ANYONE],
            preflight={"status": 405, "headers": [ANYONE, ["Allow", "GET, PUT"]]},
            method="PUT",
        ),
        finding="options-not-routed",
    ),
    Preset(
        id="method-not-allowed",
        group=PREFLIGHTS,
        title="Method not allowed",
        text="Access-Control-Allow-Methods lists GET and POST, which never needed it, and not the DELETE.",
        document=_made([ANYONE], preflight={"headers": [ANYONE, _allow_methods("GET, POST")]}, method="DELETE"),
        finding="method-not-allowed",
    ),
    Preset(
        id="patch-in-small-letters",
        group=PREFLIGHTS,
        title="patch in small letters",
        text="fetch puts get and post into capitals, but not patch; methods are compared byte by byte.",
        document=_made([ANYONE], preflight={"headers": [ANYONE, _allow_methods("PATCH")]}, method="patch"),
        finding="method-case",
    ),
    Preset(
        id="echoed-request-headers",
        group=PREFLIGHTS,
        title="Echoed request headers",
        text="The server answers with whatever headers the preflight asked about. That works with credentials too, "
        "where * would be taken for a header of that name.",
        document=_made(
            GOOD,
            preflight={"headers": [*GOOD, _allow_headers("$HEADERS")]},
            headers=[["X-Request-Id", "1"], ["X-Client", "playground"]],
            **INCLUDE,
        ),
    ),
    Preset(
        id="any-header-with-credentials",
        group=PREFLIGHTS,
        title="Allow-Headers: * with credentials",
        text="Beside credentials the star is a header name like any other, and no script sends a header named *.",
        document=_made(
            GOOD,
            preflight={"headers": [*GOOD, _allow_headers("*")]},
            headers=[["X-Request-Id", "1"]],
            **INCLUDE,
        ),
        finding="allow-headers-wildcard-with-credentials",
    ),
    Preset(
        id="preflight-redirected",
        group=PREFLIGHTS,
        title="A redirect of the preflight",
        text="From one URL to another, as to the one with a slash: browsers do not follow it for a preflight.",
        document=_made(
            _redirect(ANYONE, status=301),
            preflight=_redirect(ANYONE, _allow_methods("PUT"), status=301),
            redirect={"at": "sibling", "answers": [{"headers": [ANYONE]}]},
            method="PUT",
        ),
        finding="preflight-redirected",
    ),
    # -- redirects and errors
    Preset(
        id="redirect-to-login",
        group=REDIRECTS,
        title="Redirect to a login",
        text="The session is over, and the API sends everybody to its login page: the console speaks of CORS, but a "
        "401 is what the page would need.",
        document=_made(
            _redirect(ECHO, CREDENTIALS, VARY),
            redirect={"at": "cross", "name": "login", "answers": [{"body": "html"}]},
            **INCLUDE,
        ),
        finding="login-redirect",
    ),
    Preset(
        id="redirect-without-header",
        group=REDIRECTS,
        title="A redirect without CORS headers",
        text="Each step of a redirect is checked, not only the last one.",
        document=_made(_redirect(), redirect={"at": "sibling", "answers": [{"headers": [ANYONE]}]}),
        finding="allow-origin-missing",
    ),
    Preset(
        id="redirect-to-third-origin",
        group=REDIRECTS,
        title="After a redirect: Origin: null",
        text="Redirected from one other origin to yet another, the request's origin becomes null: the page's own no "
        "longer matches.",
        document=_made(_redirect(ANYONE), redirect={"at": "cross", "answers": [{"headers": [PAGE, VARY]}]}),
        finding="origin-is-null",
    ),
    Preset(
        id="error-page",
        group=REDIRECTS,
        title="An error page hides the error",
        text="The server fails with 500, and its error page has no CORS headers: the page can't even learn that.",
        document=_made({"status": 500, "body": "html"}),
        finding="error-page-without-cors",
    ),
    Preset(
        id="redirect-manual",
        group=REDIRECTS,
        title='redirect: "manual"',
        text="The script gets an opaque response, status 0: it learns that there was a redirect, but not where to.",
        document=_made(
            _redirect(ANYONE), redirect={"at": "sibling", "answers": [{"headers": [ANYONE]}]}, follow="manual"
        ),
    ),
    # -- elements
    Preset(
        id="image-on-canvas",
        group=ELEMENTS,
        title="An image taints the canvas",
        text="Without crossorigin any image is shown, but a canvas that it was painted on can't be read any more.",
        document=_made({"body": "image"}, initiator="img", mode="no-cors"),
    ),
    Preset(
        id="image-crossorigin",
        group=ELEMENTS,
        title="crossorigin, but no header",
        text='With crossorigin="anonymous" the image is subject to CORS: without the header it is not even shown.',
        document=_made({"body": "image"}, initiator="img", mode="cors"),
        finding="allow-origin-missing",
    ),
    Preset(
        id="font",
        group=ELEMENTS,
        title="A font from another host",
        text="Fonts are always asked for with CORS, without credentials.",
        document=_made({"body": "font"}, initiator="font"),
        finding="allow-origin-missing",
    ),
    Preset(
        id="module",
        group=ELEMENTS,
        title="A module from another host",
        text="A classic script needs no header, a module script does.",
        document=_made({"body": "script"}, initiator="module"),
        finding="allow-origin-missing",
    ),
    Preset(
        id="resource-policy",
        group=ELEMENTS,
        title="Cross-Origin-Resource-Policy",
        text="A script of another site that may be used by its own origin only: blocked, and not by CORS.",
        document=_made(
            {"headers": [["Cross-Origin-Resource-Policy", "same-origin"]], "body": "script"},
            initiator="script",
            mode="no-cors",
            at="cross",
        ),
        finding="cross-origin-resource-policy",
    ),
    Preset(
        id="worker",
        group=ELEMENTS,
        title="From a worker",
        text="A worker's requests are held to the same rules, in the name of the page's origin.",
        document=_made([], context="worker"),
        finding="allow-origin-missing",
    ),
)


def by_id(id_: str) -> Preset:
    """Returns a preset. Raises KeyError."""
    return {preset.id: preset for preset in PRESETS}[id_]
