"""What stands between browser and application, as an answer tells: load balancers, CDNs, gateways and their caches."""

from corscope.headers import Fields, text
from corscope.privacy import SHOWN

_OF_LAYERS = (
    "awsalb", "awselb", "__cf", "_cfuvid", "cf_clearance", "arraffinity", "incap_ses_", "visid_incap_", "nlbi_",
    "bigipserver", "ak_bmsc", "bm_s", "_abck", "datadome", "gclb", "applicationgatewayaffinity", "aka_", "akaalb_",
)  # fmt: skip
"""How the names begin of cookies that load balancers and the like set on any answer; nobody misses them."""


_OWN_ANSWERS = (
    (b"x-vercel-error", b"", "Vercel"),
    (b"x-amzn-errortype", b"", "AWS API Gateway"),
    (b"server", b"cloudfront", "CloudFront"),
    (b"server", b"awselb", "AWS load balancer"),
    (b"server", b"amazons3", "Amazon S3"),
    (b"server", b"akamai", "Akamai"),
    (b"server", b"varnish", "Varnish"),
    (b"server", b"gws", "Google"),
    (b"server", b"kong/", "Kong"),
    (b"server", b"microsoft-azure-application-gateway", "Azure Application Gateway"),
)
"""Headers that a layer puts on its own answers only: name, how the value begins, and whose it is."""

_LAYERS = (
    (b"cf-ray", b"", "Cloudflare"),
    (b"x-amz-cf-id", b"", "CloudFront"),
    (b"x-azure-ref", b"", "Azure Front Door"),
    (b"server", b"cloudflare", "Cloudflare"),
    (b"server", b"envoy", "Envoy"),
    (b"server", b"istio-envoy", "Envoy"),
    (b"server", b"fastly", "Fastly"),
    (b"server", b"google frontend", "Google load balancer"),
    (b"server", b"heroku", "Heroku's router"),
    (b"via", b"varnish", "Varnish"),
    (b"via", b"cloudfront", "CloudFront"),
    (b"via", b"google", "Google load balancer"),
)
"""Headers that a layer puts on the application's answers too. Of Via: what the value holds."""

_LAYER_STATUS = frozenset((403, 413, 429, 502, 503, 504, *range(520, 531)))
"""What layers before an application answer by themselves."""

_GATEWAY_SERVERS = (b"nginx", b"openresty", b"apache", b"caddy", b"haproxy", b"traefik")


def is_of_a_layer(name: str) -> bool:
    """Tell by its name a cookie that such a layer sets, for itself."""
    return name.lower().startswith(_OF_LAYERS)


def intermediary(fields: Fields, status: int) -> str:
    """Return whose answer an error seems to be, and by what it is told; empty where nothing tells."""
    lines = tuple([(name.lower(), value.lower()) for name, value in fields])
    # Layers speak HTML to people; what is JSON comes from an application more likely.
    speaks_json = any(name == b"content-type" and b"json" in value for name, value in lines)
    layers = _LAYERS if status in _LAYER_STATUS and not speaks_json and not _is_of_an_application(lines) else ()
    for name, marker, whose in (*_OWN_ANSWERS, *layers):
        for key, value in lines:
            if key == name and (value.startswith(marker) or (name == b"via" and marker in value)):
                return f"{whose}, by its {text(name)} header"
    if status in (502, 503, 504):
        for key, value in lines:
            if key == b"server" and value.startswith(_GATEWAY_SERVERS):
                return f"a gateway, by its status {status} and Server: {text(value[:SHOWN])}"
    return ""


def _is_of_an_application(lines: Fields) -> bool:
    """Tell by its lines, in lower case, an answer that passed through a layer, and was made behind it."""
    return any(
        name.startswith((b"x-powered-by", b"x-aspnet", b"x-runtime", b"x-envoy-upstream-service-time"))
        or (name == b"set-cookie" and not is_of_a_layer(text(value)))
        for name, value in lines
    )


def cache_says(fields: Fields) -> str:
    """Return by what an answer shows that it comes from a cache on the way; empty where nothing does."""
    for name, value in fields:
        lower = name.lower()
        if lower == b"age" and value.strip().isdigit() and int(value.strip()[:9]) > 0:
            return f"Age: {text(value[:SHOWN])}"
        if lower in (b"x-cache", b"cf-cache-status", b"x-cache-status", b"x-vercel-cache") and b"hit" in value.lower():
            return f"{text(name)}: {text(value[:SHOWN])}"
    return ""
