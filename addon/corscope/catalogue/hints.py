"""The findings that do not block by themselves: what the wire leaves open, what is behind a fault, what will hurt."""

from corscope.catalogue.entry import FETCH, SEE_COOKIES, SEE_PREFLIGHT, SEE_STORY, Entry


def _cookie(id_: str, title: str, why: str, fix: str, section: str) -> Entry:
    return Entry(
        id=id_,
        severity="warning",
        title=title,
        why="{cookies}: " + why,
        fix=fix,
        section="https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#" + section,
        see=SEE_COOKIES,
    )


HINTS = (
    Entry(
        id="credentials-unknown",
        severity="warning",
        title="blocked if with credentials",
        why="Without credentials the page gets this response; with credentials it would be blocked: {console} "
        "Nothing on the wire tells which it was: {missing}",
        fix="{fix}",
        section=FETCH + "concept-cors-check",
    ),
    Entry(
        id="other-fault-with-credentials",
        severity="info",
        title="another fault with credentials",
        why="It is blocked either way. If it was sent with credentials, which nothing on the wire tells, the browser "
        "names this fault first: {console}",
        fix="{fix}",
        section=FETCH + "concept-cors-check",
    ),
    Entry(
        id="further-fault-with-credentials",
        severity="info",
        title="more is wrong with credentials",
        why="If it was sent with credentials, which nothing on the wire tells, this is wrong as well: {console}",
        fix="{fix}",
        section=FETCH + "concept-cors-check",
    ),
    Entry(
        id="mode-unknown",
        severity="warning",
        title="blocked if in mode cors",
        why="This request could be a form's, an element's, a beacon's or a no-cors fetch, whose answers no page reads, "
        "or a script's that wants the answer: then it would be blocked: {console} Over plain http browsers do not say "
        "which.",
        fix="{fix}",
        section=FETCH + "concept-request-mode",
    ),
    Entry(
        id="stored-response-unknown",
        severity="warning",
        title="depends on stored response",
        why="The answer is 304 Not Modified and does not repeat all CORS headers, so the browser checks those of the "
        "response it stored, which is not in this traffic.",
        fix="Send the CORS headers on 304 answers too: Access-Control-Allow-Origin: {origin}",
        section=FETCH + "http-network-or-cache-fetch",
    ),
    Entry(
        id="proxy-error",
        severity="info",
        title="the server was not reached",
        why="This answer comes from the proxy itself, because the server gave none{error}. The browser's CORS message "
        "is only a symptom.",
        fix="Look at the connection to the server first.",
        section="https://fetch.spec.whatwg.org/#concept-network-error",
    ),
    Entry(
        id="authorization-under-wildcard",
        severity="warning",
        title="Authorization allowed by * alone",
        why="Chromium and Firefox let `*` in Access-Control-Allow-Headers cover Authorization, the standard does not; "
        "they have announced to follow it.",
        fix="Send: Access-Control-Allow-Headers: {headers}",
        section=FETCH + "cors-preflight-fetch",
    ),
    Entry(
        id="max-age-above-cap",
        severity="info",
        title="Max-Age above the limit",
        why="Access-Control-Max-Age is {value} s; Chromium keeps a preflight for 7200 s at most, Firefox for 86400 s.",
        fix="Nothing needs to change; do not count on more than the limit.",
        section=FETCH + "cors-preflight-fetch",
    ),
    Entry(
        id="max-age-unparsable",
        severity="warning",
        title="Max-Age is not a number",
        why="Access-Control-Max-Age is “{value}”: Chromium falls back to 5 seconds, Firefox does not keep the "
        "preflight at all.",
        fix="Send a whole number of seconds: Access-Control-Max-Age: 600",
        section=FETCH + "cors-preflight-fetch",
    ),
    # ---- behind the fault
    Entry(
        id="error-page-without-cors",
        severity="warning",
        title="error {status} hidden by CORS",
        why="The server answered {status}, and its error page has no CORS headers, so the page sees a CORS failure in "
        "place of the real one{said}.",
        fix="Look at the {status} first. And add the CORS headers to error answers as well (nginx: `always`; elsewhere "
        "a layer outside of the error handling), so that the page can read what went wrong.",
        section=FETCH + "concept-cors-check",
    ),
    Entry(
        id="login-redirect",
        severity="warning",
        title="redirected to a login page",
        why="The request was answered with {status} to {location}, which looks like a login page. A page's script "
        "cannot log in there: the session is missing or has expired, or its cookie did not travel.",
        fix="Answer requests of scripts with 401 (and CORS headers) in place of the redirect, and look why the session "
        "was not recognised.",
        section=FETCH + "http-redirect-fetch",
    ),
    Entry(
        id="answered-by-intermediary",
        severity="info",
        title="not the application's answer",
        why="This answer seems to come from a layer before the application ({evidence}), which knows nothing of the "
        "application's CORS headers.",
        fix="Look at that layer's own log and rules (firewall, bot protection, size and time limits, health of the "
        "servers behind it), and let it add CORS headers to its own error answers.",
        section=FETCH + "concept-cors-check",
    ),
    Entry(
        id="asked-again",
        severity="info",
        title="asked again after {status}",
        why="The browser asked once more by itself, and no page saw this answer: the next one counts.",
        fix="Nothing needs mending here.",
        section=FETCH + "concept-http-network-or-cache-fetch",
    ),
    Entry(
        id="cached-for-another-origin",
        severity="warning",
        title="cached for another origin",
        why="“{value}” is the origin of another page, and this answer seems to be a copy that was made for it: "
        "{evidence}.",
        fix="Send Vary: Origin with every answer of this URL, those without CORS headers too, then empty the cache.",
        section=FETCH + "cors-protocol-and-http-caches",
        see=SEE_STORY,
    ),
    Entry(
        id="cached-without-origin",
        severity="warning",
        title="cached without CORS headers",
        why="This answer comes from a cache on the way ({evidence}), and has no CORS headers: perhaps it was made for "
        "a request without Origin, an image's for instance, to which the server sends none.",
        fix="Send Vary: Origin with every answer of this URL, those without CORS headers too, then empty the cache.",
        section=FETCH + "cors-protocol-and-http-caches",
    ),
    Entry(
        id="capture-sanitized",
        severity="info",
        title="capture without cookies",
        why="This capture was written without cookies and Authorization (sanitized, as browsers do unless asked "
        "otherwise), so that they are missing here says nothing about what the browser sent.",
        fix="Export the HAR “with sensitive data”, or record with mitmproxy.",
        section=FETCH + "concept-request-credentials-mode",
        see="The capture holds no Cookie, Set-Cookie or Authorization at all.",
    ),
    # ---- credentials
    Entry(
        id="expose-headers-wildcard-with-credentials",
        severity="warning",
        title="* in Expose-Headers is literal",
        why="With credentials `*` in Access-Control-Expose-Headers is the name of a header called `*`, so that it "
        "exposes nothing.",
        fix="Send: Access-Control-Expose-Headers: {headers}",
        section=FETCH + "concept-response-cors-exposed-header-name-list",
    ),
    Entry(
        id="allow-credentials-beside-wildcard",
        severity="warning",
        title="Allow-Credentials beside *",
        why="Access-Control-Allow-Credentials: true beside Access-Control-Allow-Origin: * never has any effect: this "
        "request passes because it has no credentials, and any with credentials fails.",
        fix="For credentials send the origin itself: Access-Control-Allow-Origin: {origin}, with Vary: Origin. Without "
        "them leave Access-Control-Allow-Credentials out.",
        section=FETCH + "concept-cors-check",
    ),
    Entry(
        id="allow-credentials-unused",
        severity="info",
        title="credentials allowed, none sent",
        why="The response allows credentials, but the request was sent without: cookies were neither sent nor taken.",
        fix="If the API needs none, leave Access-Control-Allow-Credentials out. If it does: {client}",
        section=FETCH + "concept-request-credentials-mode",
    ),
    Entry(
        id="allow-credentials-meaningless",
        severity="info",
        title="Allow-Credentials: {value}",
        why="Access-Control-Allow-Credentials means something only as `true`; “{value}” is as good as nothing. It does "
        "no harm here, for this request was sent without credentials.",
        fix="Leave Access-Control-Allow-Credentials out.",
        section=FETCH + "concept-cors-check",
    ),
    Entry(
        id="wildcard-until-login",
        severity="warning",
        title="works until someone logs in",
        why="The same endpoint answers `*` to requests without cookies and the origin itself to requests with them: "
        "{evidence}. A copy in a cache, or an answer to a session that has expired, then fails for a page that asks "
        "with credentials.",
        fix="Send the same to both: Access-Control-Allow-Origin: {origin}, with Access-Control-Allow-Credentials: true "
        "and Vary: Origin",
        section=FETCH + "cors-protocol-and-credentials",
        see=SEE_STORY,
    ),
    Entry(
        id="client-did-not-opt-in",
        severity="warning",
        title="client sent no credentials",
        why="The server allows credentials and this browser holds cookies for it ({cookies}), yet none came: the "
        "client did not opt in, and without that browsers send none to another origin.",
        fix="{client}",
        section=FETCH + "concept-request-credentials-mode",
        see=SEE_COOKIES,
    ),
    Entry(
        id="client-did-not-always-opt-in",
        severity="warning",
        title="client did not always opt in",
        why="The server allows credentials, and refuses this request, which has none. Cookies that it set never came "
        "back ({cookies}): either the client did not opt in where they were set, and the browser ignored them, or it "
        "did not opt in here, and the browser sent none; perhaps neither.",
        fix="Opt in with both requests, that whose answer sets the cookies and this one. {client}",
        section=FETCH + "concept-request-credentials-mode",
        see=SEE_COOKIES,
    ),
    Entry(
        id="client-or-third-party",
        severity="warning",
        title="cookies did not come",
        why="Cookies that are meant for other sites' pages did not come ({cookies}). Either the client did not opt in "
        "to credentials, which is the commoner, or this browser blocks third-party cookies; nothing on the wire tells.",
        fix="{client} If that is there already, third-party cookies are blocked: serve page and API from one site.",
        section=FETCH + "concept-request-credentials-mode",
        see=SEE_COOKIES,
    ),
    Entry(
        id="set-cookie-ignored",
        severity="warning",
        title="Set-Cookie ignored",
        why="The response sets cookies ({cookies}), and the browser ignores them: the request was sent without "
        "credentials.",
        fix="{client}",
        section=FETCH + "concept-http-network-fetch",
        see=SEE_COOKIES,
    ),
    Entry(
        id="authorization-by-browser",
        severity="info",
        title="browser's own Authorization",
        why="Authorization ({scheme}) was added by the browser, from its own store (a login prompt, or the "
        "system's account): {evidence}. So it counts as credentials: the response needs the origin itself and "
        "Access-Control-Allow-Credentials: true, and Access-Control-Allow-Headers has no part in it.",
        fix="Send: Access-Control-Allow-Origin: {origin}, with Access-Control-Allow-Credentials: true and Vary: Origin",
        section=FETCH + "http-network-or-cache-fetch",
    ),
    Entry(
        id="authorization-on-the-way",
        severity="info",
        title="Authorization added on the way",
        why="Authorization ({scheme}) was set neither by the page's script nor by the browser: {evidence}, and "
        "browsers never send this scheme by themselves. An extension, a service worker or a proxy added it.",
        fix="To see what happens without it, switch that off.",
        section=FETCH + "http-network-or-cache-fetch",
        see=SEE_PREFLIGHT,
    ),
    Entry(
        id="authorization-by-script",
        severity="info",
        title="Authorization by script",
        why="Authorization was set by the page's script: {evidence}. So it is an ordinary header, which "
        "Access-Control-Allow-Headers must list, and needs no credentials mode; `*` there covers it in Chromium, "
        "Firefox and Safari, but not in the standard.",
        fix="List it by name in the preflight's answer; credentials: “include” is not needed for it.",
        section=FETCH + "cors-non-wildcard-request-header-name",
        see=SEE_PREFLIGHT,
    ),
    Entry(
        id="authorization-by-either",
        severity="info",
        title="Authorization, by whom?",
        why="Authorization ({scheme}) was set by the browser, from a login in its own dialog, or by the page's script; "
        "its preflight is not in sight, so nothing tells which. By the browser it needs credentials: “include”, "
        "Allow-Credentials and an explicit Allow-Origin; by the script it needs to be listed in "
        "Access-Control-Allow-Headers.",
        fix="Right for both: Access-Control-Allow-Origin: {origin}, with Access-Control-Allow-Credentials: true, and "
        "in the preflight's answer Access-Control-Allow-Headers: authorization",
        section=FETCH + "http-network-or-cache-fetch",
        see=SEE_PREFLIGHT,
    ),
    # ---- cookies
    _cookie(
        "cookie-samesite-default",
        "cookie is Lax by default",
        "without SameSite a cookie counts as SameSite=Lax, and does not go with, nor is taken from, "
        "requests of another site's scripts.",
        "Set it with: SameSite=None; Secure",
        "section-5.6.7",
    ),
    _cookie(
        "cookie-samesite-lax",
        "cookie is SameSite=Lax",
        "a SameSite=Lax cookie does not go with, nor is taken from, requests of another site's scripts.",
        "Set it with: SameSite=None; Secure. Or serve page and API from one site (app.example.com and "
        "api.example.com are one).",
        "section-5.6.7",
    ),
    _cookie(
        "cookie-samesite-strict",
        "cookie is SameSite=Strict",
        "a SameSite=Strict cookie goes with, and is taken from, requests of its own site only.",
        "Set it with: SameSite=None; Secure. Or serve page and API from one site (app.example.com and "
        "api.example.com are one).",
        "section-5.6.7",
    ),
    _cookie(
        "cookie-samesite-none-without-secure",
        "SameSite=None without Secure",
        "browsers refuse a cookie with SameSite=None that is not Secure.",
        "Set it with: SameSite=None; Secure",
        "section-5.7",
    ),
    _cookie(
        "cookie-secure-over-http",
        "Secure cookie and plain http",
        "a Secure cookie is neither taken from nor sent to a URL that begins with http://.",
        "Serve the API over https.",
        "section-5.7",
    ),
    _cookie(
        "cookie-overwrites-secure",
        "http may not replace cookie",
        "there is a Secure cookie of this name, which browsers let nothing from a plain http:// URL replace or hide.",
        "Set it from an https URL, or name it otherwise.",
        "section-5.7",
    ),
    _cookie(
        "cookie-domain-mismatch",
        "cookie of another domain",
        "the cookie's domain does not cover this host. Without a Domain attribute a "
        "cookie goes back to the very host that set it, and to no other.",
        "Set it with a Domain that covers both hosts, such as Domain=example.com.",
        "section-5.1.3",
    ),
    _cookie(
        "cookie-path-mismatch",
        "cookie of another path",
        "the cookie's path does not cover this URL. Without a Path attribute it is the folder of the URL that set it.",
        "Set it with: Path=/",
        "section-5.1.4",
    ),
    _cookie(
        "cookie-prefix-violated",
        "cookie breaks its prefix",
        "a name that begins with __Secure- asks for Secure, one that begins with __Host- for "
        "Secure, Path=/ and no Domain; otherwise browsers refuse the cookie.",
        "Set it as its name promises, or name it otherwise.",
        "section-5.4",
    ),
    _cookie(
        "cookie-partitioned-without-secure",
        "Partitioned without Secure",
        "browsers refuse a Partitioned cookie that is not Secure.",
        "Set it with: SameSite=None; Secure; Partitioned",
        "section-5.7",
    ),
    _cookie(
        "cookie-partitioned-elsewhere",
        "cookie kept for another page",
        "the cookie is kept apart for each top-level site, and was set below another one than this page's.",
        "Set it again from within this page, or ask for access with document.requestStorageAccess().",
        "section-5.8.3",
    ),
    _cookie(
        "cookie-third-party-blocked",
        "third-party cookies blocked",
        "this browser keeps third-party cookies from being sent here. Whatever the server "
        "sets, they do not travel from this page to another site.",
        "Serve page and API from one site, or set the cookie with: SameSite=None; Secure; Partitioned. Or ask "
        "for access with document.requestStorageAccess().",
        "section-7.1",
    ),
    _cookie(
        "cookie-expired",
        "cookie has expired",
        "the cookie was removed or has expired.",
        "Log in again, or set it with a longer Max-Age.",
        "section-5.7",
    ),
    # ---- caching
    Entry(
        id="vary-origin-missing",
        severity="warning",
        title="no Vary: Origin",
        why="Access-Control-Allow-Origin changes with the request's origin here, and no Vary: Origin says so: a cache "
        "may give one request's answer to another. {evidence}.",
        fix="Send with every answer of this URL, those without CORS headers too: Vary: Origin",
        section=FETCH + "cors-protocol-and-http-caches",
        see=SEE_STORY,
    ),
    Entry(
        id="preflights-repeated",
        severity="info",
        title="preflight asked again",
        why="The same preflight was asked {count} times, {spent} ms in all, because its answer may be kept for 5 "
        "seconds at most ({said}).",
        fix="Send: Access-Control-Max-Age: 600",
        section=FETCH + "http-access-control-max-age",
        see=SEE_PREFLIGHT,
    ),
    Entry(
        id="response-headers-not-exposed",
        severity="info",
        title="headers hidden from the page",
        why="The page gets the answer, but its script cannot read these headers of it: {headers}.",
        fix="If the page needs them, send: Access-Control-Expose-Headers: {exposed}",
        section=FETCH + "concept-filtered-response-cors",
    ),
    # ---- risk
    Entry(
        id="origin-reflected-with-credentials",
        severity="warning",
        title="an unrelated origin is let in",
        why="Risk: the server answers an unrelated origin with its own name and Allow-Credentials: true ({evidence}). "
        "If it does so for every caller, any site can read with its visitors' cookies{said}.",
        fix="If that origin is not on a list of yours: compare the Origin with one, and send no "
        "Access-Control-Allow-Origin to anybody else.",
        section=FETCH + "cors-protocol-and-credentials",
        see=SEE_STORY,
    ),
    Entry(
        id="null-origin-trusted",
        severity="warning",
        title="null is let in",
        why="Risk: the origin `null` is let in with credentials. Any site can make a sandboxed frame whose origin is "
        "null, and read with its visitors' cookies{said}.",
        fix="Take `null` from the list of allowed origins.",
        section=FETCH + "cors-protocol-and-credentials",
    ),
    Entry(
        id="http-origin-trusted",
        severity="warning",
        title="http page let in by https",
        why="Risk: {origin} is let in with credentials by a server that speaks https. Whoever can change that page on "
        "its way (any network in between) reads with its visitors' cookies{said}.",
        fix="Allow the https origin only.",
        section=FETCH + "cors-protocol-and-credentials",
    ),
    Entry(
        id="platform-origins-trusted",
        severity="warning",
        title="sites of a platform are let in",
        why="Risk: several sites below {suffix} are let in with credentials ({evidence}), and anybody can have a name "
        "there. If the server lets in all of them, each can read with its visitors' cookies{said}.",
        fix="If these are not all yours: name your own sites below {suffix}, each by itself.",
        section=FETCH + "cors-protocol-and-credentials",
        see=SEE_STORY,
    ),
    Entry(
        id="private-network-exposed",
        severity="warning",
        title="private server open to the web",
        why="Risk: {host} is an address of this machine or of a private network, and its answer may be read by "
        "{who}{said}.",
        fix="Name the pages that may read it, and send no Access-Control-Allow-Origin to any other.",
        section="https://wicg.github.io/local-network-access/#",
    ),
    # ---- the browser's own record
    Entry(
        id="browser-disagrees",
        severity="warning",
        title="the browser did otherwise",
        why="By its own record the browser {did}{record}, and by what was on the wire it is {verdict}. What decided "
        "does not show in this capture: an extension, a browser started with its checks off, a cache, a failure that "
        "is not CORS. Or this verdict is wrong.",
        fix="Do it again in a fresh profile without extensions, and record that; if the two still differ, please "
        "report it with the capture.",
        section=FETCH + "concept-cors-check",
        see="The request in the browser's developer tools, its console, and `_error` (Playwright: `_failureText`) of "
        "the HAR's entry.",
    ),
    # ---- not CORS
    Entry(
        id="cross-origin-resource-policy",
        severity="warning",
        title="blocked by CORP, not CORS",
        why="This is no CORS request. The browser keeps the answer from the page because of Cross-Origin-Resource-"
        "Policy: {value}, which forbids its use by pages of another {said}.",
        fix="Send: Cross-Origin-Resource-Policy: cross-origin",
        section=FETCH + "cross-origin-resource-policy-header",
    ),
    Entry(
        id="opaque-response-blocking",
        severity="info",
        title="maybe blocked by ORB, not CORS",
        why="This is no CORS request. An element asked for it, as {dest}, and the answer is {value}: Chromium and "
        "Firefox keep such data from pages of another origin (opaque response blocking).",
        fix="Fetch data with fetch() and CORS headers; for an element, send the right Content-Type.",
        section="https://github.com/annevk/orb#",
    ),
    Entry(
        id="mixed-content",
        severity="warning",
        title="https page asks http",
        why="{origin} is a secure page, and the URL begins with http://. Browsers block that as mixed content before "
        "it leaves; this one was told to let it pass. For everybody else it fails, and that is not CORS.",
        fix="Ask for the https URL.",
        section="https://w3c.github.io/webappsec-mixed-content/#should-block-fetch",
        see="The URL and the Origin header of the request.",
    ),
    Entry(
        id="csp-connect-src",
        severity="warning",
        title="maybe blocked by the page's CSP",
        why="The page's own Content-Security-Policy ({value}) does not name {location}, so the browser will not follow "
        "there. That is not CORS: no header of this answer helps.",
        fix="Add the origin of the redirect's target to connect-src in the page's Content-Security-Policy.",
        section="https://w3c.github.io/webappsec-csp/#directive-connect-src",
        see="The page's own answer: its Content-Security-Policy.",
    ),
    Entry(
        id="local-network-access",
        severity="info",
        title="local network access",
        why="A page whose name may be one of the public web asks {host}, an address of this machine or of a private "
        "network. Chromium (since 142) asks the user's permission for that, and refuses without: a failure that is not "
        "CORS, and that does not show through a proxy.",
        fix="Try it without the proxy too, and grant the permission; fetch() takes targetAddressSpace for http URLs.",
        section="https://wicg.github.io/local-network-access/#",
        see="The page's console without the proxy: “Permission was denied for this request …”.",
    ),
)
