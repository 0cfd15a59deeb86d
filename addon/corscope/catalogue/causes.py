"""The faults that block, named by what caused them: the same failure to the browser, another thing to change."""

from dataclasses import replace

from corscope.catalogue.entry import Entry
from corscope.catalogue.faults import FAULTS

_FAULTS = {entry.id: entry for entry in FAULTS}


def _cause(of: str, id_: str, title: str, why: str, fix: str = "") -> Entry:
    """Return an entry that says of a fault why it is there; the fix is the fault's own unless another is given."""
    fault = _FAULTS[of]
    return replace(fault, id=id_, title=title, why=why, fix=fix or fault.fix, of=of)


def _mismatch(id_: str, title: str, why: str, fix: str = "") -> Entry:
    return _cause("allow-origin-mismatch", id_, title, why, fix)


_MALFORMED = "allow-origin-invalid"

_NULL = (
    "An origin is null in a sandboxed frame, on a page from a file or a data: URL, and after a redirect from one "
    "foreign origin to another."
)
_NO_NULL = (
    "Give the page an origin: serve it over http, let the sandbox have allow-same-origin, or ask for the redirect's "
    "target at once. Do not allow `null`, which any site can be. For data that everybody may read, send without "
    "credentials: Access-Control-Allow-Origin: *"
)

_SEND_CREDENTIALS = "Send: Access-Control-Allow-Credentials: true"

CAUSES = (
    # ---- the origin that was allowed is almost the page's
    _mismatch(
        "allow-origin-trailing-slash",
        "Allow-Origin ends with /",
        "The response allows “{value}”, the page's origin is {origin}: an origin never ends with a slash, and the two "
        "are compared byte by byte.",
    ),
    _mismatch(
        "allow-origin-path",
        "Allow-Origin has a path",
        "The response allows “{value}”, a URL with a path. An origin is scheme, host and port alone: {origin}.",
    ),
    _mismatch(
        "allow-origin-case",
        "Allow-Origin in other case",
        "The response allows “{value}”; browsers send origins in lower case, {origin}, and compare byte by byte.",
    ),
    _mismatch(
        "allow-origin-default-port",
        "Allow-Origin names port",
        "The response allows “{value}” with the default port of its scheme, which browsers leave out of an origin: "
        "{origin}.",
    ),
    _mismatch(
        "allow-origin-scheme",
        "Allow-Origin, other scheme",
        "The response allows “{value}”, the page is {origin}: the same host, but under another scheme (http or https) "
        "it is another origin.",
    ),
    _mismatch(
        "allow-origin-port",
        "Allow-Origin, other port",
        "The response allows “{value}”, the page is {origin}: the same host on another port is another origin. "
        "Development servers change their port when the usual one is taken.",
    ),
    _mismatch(
        "allow-origin-loopback-name",
        "localhost is not 127.0.0.1",
        "The response allows “{value}”, the page is {origin}: the same machine under two names, which are two origins.",
    ),
    _mismatch(
        "allow-origin-www",
        "with www, without www",
        "The response allows “{value}”, the page is {origin}: with and without `www.` are two origins.",
    ),
    _mismatch(
        "allow-origin-subdomain",
        "Allow-Origin, other subdomain",
        "The response allows “{value}”, the page is {origin}: one lies below the other, but each subdomain is an "
        "origin of its own.",
    ),
    _mismatch(
        "allow-origin-pattern",
        "Allow-Origin is a pattern",
        "The response allows “{value}”. No browser understands patterns there: only `*` alone, or one whole origin.",
    ),
    _mismatch(
        "allow-origin-null-sent",
        "Allow-Origin is null",
        "The response allows “null”, the page is {origin}. Some servers answer `null` to say “nobody”; to a browser it "
        "is the origin of sandboxed frames and local files.",
    ),
    _mismatch(
        "origin-is-null",
        "page's origin is null",
        "The request's Origin is `null`, and the response allows “{value}”. " + _NULL,
        _NO_NULL,
    ),
    _cause(
        "allow-origin-missing",
        "origin-null-not-allowed",
        "null origin, no Allow-Origin",
        "The request's Origin is `null`, and the response does not say that it may be read. " + _NULL,
        _NO_NULL,
    ),
    _cause(
        _MALFORMED,
        "allow-origin-without-scheme",
        "Allow-Origin has no scheme",
        "The response allows “{value}”, a host without its scheme; the page's origin is {origin}.",
    ),
    _cause(
        _MALFORMED,
        "allow-origin-empty",
        "Allow-Origin is empty",
        "The header is there and has no value: often a variable that was never set in the server's configuration.",
    ),
    _cause(
        _MALFORMED,
        "allow-origin-quoted",
        "Allow-Origin in quotes",
        "The response allows “{value}”: the quotation marks are part of the value, and no origin has any.",
    ),
    _cause(
        _MALFORMED,
        "allow-origin-placeholder",
        "Allow-Origin not filled in",
        "The response allows “{value}”, which is no origin, but what a variable or a template "
        "of the server's left there.",
    ),
    _cause(
        "allow-origin-multiple",
        "allow-origin-list",
        "Allow-Origin is a list",
        "The header is sent once and lists several origins, “{value}”. The list belongs in the server, which sends the "
        "one origin that asked.",
    ),
    _cause(
        "allow-origin-multiple",
        "allow-origin-twice",
        "Allow-Origin sent twice",
        "Two layers each add the header, and the browser joins them to “{value}”: the application and a proxy, gateway "
        "or framework before it. Even two equal values fail.",
        "Let one of the two layers add CORS headers and the other none. Send exactly one: "
        "Access-Control-Allow-Origin: {origin}, with Vary: Origin",
    ),
    # ---- credentials
    _cause(
        "allow-credentials-not-true",
        "allow-credentials-missing",
        "no Allow-Credentials",
        "The request carries credentials (mode include), and the response does not say that they are welcome: "
        "Access-Control-Allow-Credentials is missing.",
        _SEND_CREDENTIALS + ". Or leave credentials out in the client, if the API does not need them.",
    ),
    _cause(
        "allow-credentials-not-true",
        "allow-credentials-case",
        "Allow-Credentials is {value}",
        "The value is compared byte by byte with `true`, in lower case; “{value}” is not that. Python's str(True) and "
        ".NET's ToString() write it so.",
    ),
    _cause(
        "allow-credentials-not-true",
        "allow-credentials-false",
        "Allow-Credentials: false",
        "`true` is the only value that means anything; to send `false` is the same as to send nothing. The request "
        "carries credentials (mode include).",
        _SEND_CREDENTIALS + ". To refuse credentials, leave the header out, and do not send them from the client.",
    ),
    _cause(
        "allow-credentials-not-true",
        "allow-credentials-twice",
        "Allow-Credentials sent twice",
        "Two layers each add the header, and the browser joins them to “{value}”, which is not `true`.",
        "Let one of the two layers add CORS headers and the other none. " + _SEND_CREDENTIALS,
    ),
    # ---- preflights
    _cause(
        "method-not-allowed",
        "allow-methods-wildcard-with-credentials",
        "* in Allow-Methods is literal",
        "With credentials `*` in Access-Control-Allow-Methods is the name of a method called `*`, and does not stand "
        "for {method}.",
    ),
    _cause(
        "method-not-allowed",
        "method-case",
        "{method} not in capitals",
        "The client asked for the method {method}, the response lists it in other case ({said}). Browsers put only "
        "DELETE, GET, HEAD, OPTIONS, POST and PUT into capitals by themselves; any other method goes as the script "
        "wrote it.",
        "Write the method in capitals in the client. Or send: Access-Control-Allow-Methods: {methods}",
    ),
    _cause(
        "header-not-allowed",
        "allow-headers-wildcard-with-credentials",
        "* in Allow-Headers is literal",
        "With credentials `*` in Access-Control-Allow-Headers is the name of a header called `*`, and does not stand "
        "for {header}.",
    ),
    _cause(
        "header-not-allowed",
        "authorization-not-allowed",
        "authorization not allowed",
        "A script sets Authorization (the preflight asks for it, which the browser's own never is): an ordinary header "
        "then, a bearer token for instance, that needs no credentials mode but must be listed. "
        "Access-Control-Allow-Headers is {said}.",
    ),
    _cause(
        "preflight-status",
        "preflight-needs-authentication",
        "preflight asked to log in",
        "The preflight was answered {status}: authentication comes before CORS in the server. Browsers never send "
        "cookies, Authorization or client certificates with a preflight, so none can ever pass.",
        "Let OPTIONS pass without authentication: put the CORS layer before it, and answer with 204.",
    ),
    _cause(
        "preflight-status",
        "preflight-forbidden",
        "preflight refused with 403",
        "The preflight was answered 403: the server, or a firewall before it, refuses this origin or the OPTIONS "
        "method (Spring then says “Invalid CORS request”), or authentication comes first.",
        "Add {origin} to the origins that the server allows, and let OPTIONS pass firewall and authentication; answer "
        "with 204.",
    ),
    _cause(
        "preflight-status",
        "preflight-server-failed",
        "preflight answered {status}",
        "The preflight was answered {status}: the server, or what stands behind the layer that answered, has failed. "
        "That is no matter of CORS, though the browser says so.",
        "Look at the {status} first: the server's log, and whether the application runs.",
    ),
    _cause(
        "preflight-status",
        "options-not-routed",
        "server knows no OPTIONS",
        "The preflight was answered {status}: the server has no route for OPTIONS on this URL.",
        "Add the CORS middleware before the router, or a route for OPTIONS that answers with 204 and the CORS headers.",
    ),
    _cause(
        "preflight-redirected",
        "preflight-redirected-to-login",
        "preflight sent to login",
        "The OPTIONS request was answered with {status} to {location}, which looks like a login: authentication comes "
        "before CORS in the server. Browsers never log in with a preflight, nor follow it.",
        "Let OPTIONS pass without authentication: put the CORS layer before it, and answer with 204.",
    ),
    _cause(
        "preflight-redirected",
        "preflight-redirected-to-https",
        "preflight sent to https",
        "The OPTIONS request was answered with {status} to {location}, the same over https; browsers never follow "
        "that.",
        "Ask for the https URL in the client.",
    ),
    _cause(
        "preflight-redirected",
        "preflight-redirected-to-slash",
        "preflight sent to trailing /",
        "The OPTIONS request was answered with {status} to {location}, the same URL but for the slash at its end; "
        "browsers never follow that.",
        "Ask for exactly {location} in the client, or let the server answer both.",
    ),
)
"""Each an entry of its own, with an id of its own; `of` says which fault it is to a browser."""
