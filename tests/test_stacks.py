"""Configurations of servers: each renders for every policy, says all of it, and never lets anybody in."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from corscope.policy import Policy
from corscope.stacks import STACKS, Guess, configuration, guess

ONE = Policy(
    origins=("https://app.example",),
    credentials=True,
    methods=("GET", "PUT"),
    request_headers=("content-type", "x-tag"),
    exposed_headers=("X-Total-Count",),
    max_age=3600,
)
POLICIES = {
    "one": ONE,
    "many": ONE._replace(origins=("https://app.example", "http://localhost:3000", "http://[::1]:8080")),
    "null": ONE._replace(origins=("https://app.example", "null")),
    "anonymous": ONE._replace(credentials=False),
    "plain": Policy(origins=("https://app.example",), credentials=False),
    "no-headers": ONE._replace(request_headers=(), exposed_headers=()),
    "no-methods": ONE._replace(methods=()),
    "insecure": ONE._replace(origins=("http://app.example",)),
    "not-kept": ONE._replace(max_age=0),
}
CREDENTIALS = {
    "nginx": "add_header Access-Control-Allow-Credentials $cors_credentials always;",
    "apache": 'Header always set Access-Control-Allow-Credentials "true" env=CORS_ORIGIN',
    "caddy": "Access-Control-Allow-Credentials true",
    "haproxy": "set-header Access-Control-Allow-Credentials true if { var(txn.cors_origin) -m found }",
    "envoy": "allow_credentials: true",
    "express": "credentials: true",
    "fastify": "credentials: true",
    "koa": "credentials: true",
    "django": "CORS_ALLOW_CREDENTIALS = True",
    "flask": "supports_credentials=True",
    "fastapi": "allow_credentials=True",
    "spring": "setAllowCredentials(true)",
    "aspnet": ".AllowCredentials()",
    "rails": "credentials: true",
    "laravel": "'supports_credentials' => true",
    "go-jub0bs": "Credentialed: true",
    "go-rs": "AllowCredentials: true",
    "aws-api-gateway": "AllowCredentials: true",
    "aws-cloudfront": "AccessControlAllowCredentials: true",
    "cloudflare-workers": 'headers.set("Access-Control-Allow-Credentials", "true")',
}
"""How each stack is told; S3 sends the header by itself."""
YAML_STACKS = sorted(id_ for id_, stack in STACKS.items() if stack.language == "yaml")


def code(text: str) -> str:
    """A configuration without its comments."""
    return "\n".join(line for line in text.splitlines() if not re.match(r"\s*(#|//)", line))


@pytest.fixture(params=sorted(POLICIES))
def policy(request: pytest.FixtureRequest) -> Policy:
    return POLICIES[request.param]


@pytest.fixture(params=sorted(STACKS))
def stack(request: pytest.FixtureRequest) -> str:
    id_: str = request.param
    return id_


def test_the_ids_are_permanent() -> None:
    assert list(STACKS) == [
        *("nginx", "apache", "caddy", "haproxy", "envoy", "express", "fastify", "koa", "django", "flask", "fastapi"),
        *("spring", "aspnet", "rails", "laravel", "go-jub0bs", "go-rs", "aws-api-gateway", "aws-s3", "aws-cloudfront"),
        "cloudflare-workers",
    ]
    for id_, stack in STACKS.items():
        assert stack.id == id_
        assert stack.title
        assert stack.file
        assert re.fullmatch("[a-z]+", stack.language)


def test_a_configuration_says_all_of_the_policy(stack: str, policy: Policy) -> None:
    text = configuration(stack, policy)
    assert text.endswith("\n")
    assert not text.startswith("\n")
    # No placeholder, filter's residue or empty value is left.
    lines = code(text)
    assert not re.search(r"\{\{|\}\}|\{% |None|Undefined|Markup", lines)
    plain = lines.replace("\\\\", "\\").replace("\\", "")
    for origin in policy.origins:
        if origin != "null" or STACKS[stack].null:
            assert origin in plain
    for method in policy.methods or ("GET",):
        assert re.search(rf"\b{method}\b", lines, re.IGNORECASE)
    for name in (*policy.request_headers, *policy.exposed_headers):
        assert name in lines
    if policy.max_age:
        assert re.search(rf"\b{policy.max_age}L?\b", lines)


def test_nobody_is_let_in_who_is_not_listed(stack: str, policy: Policy) -> None:
    text = code(configuration(stack, policy))
    for quoted in re.findall(r"([\"'])(\*+)\1", text):
        # Laravel's list of paths and the resources of Rails.
        assert stack in {"laravel", "rails"}, quoted
    assert not re.search(r"allow-origin\"?:? +\"?\*", text, re.IGNORECASE)
    assert not re.search(r"any_?origin|allow_?all|:any\b", text, re.IGNORECASE)


def test_credentials_are_allowed_only_where_the_policy_says_so(stack: str) -> None:
    with_, without = (
        code(configuration(stack, ONE._replace(credentials=credentials))) for credentials in (True, False)
    )
    if stack not in CREDENTIALS:
        assert (stack, with_) == ("aws-s3", without)
        return
    assert CREDENTIALS[stack] in with_
    assert CREDENTIALS[stack] not in without


def test_a_comment_warns_of_null(stack: str) -> None:
    assert "sandboxed frame" not in configuration(stack, ONE)
    text = configuration(stack, ONE._replace(origins=("https://app.example", "null")))
    assert re.search(r"^\s*(#|//) `null` is", text, re.MULTILINE)
    if not STACKS[stack].null:
        assert "null" not in code(text).replace("null_", "")


def test_where_null_cannot_be_listed_it_is_no_policy(stack: str) -> None:
    policy = ONE._replace(origins=("null",))
    if STACKS[stack].null:
        assert "null" in code(configuration(stack, policy))
    else:
        with pytest.raises(ValueError, match="cannot allow null"):
            configuration(stack, policy)


HOSTILE = (
    'https://a.example"',
    "https://$host",
    "https://a b",
    "https://a;b",
    "*",
    "https://a.example/x",
    "x\ny",
    "`x`",
)


def test_what_strangers_sent_is_left_out(stack: str) -> None:
    good = configuration(stack, ONE)
    names = ("x'y", "$x", "x`y", "x\ny", "%{x}", "*", '"', "#{x}")
    bad = ONE._replace(
        origins=(*ONE.origins, *HOSTILE),
        methods=(*ONE.methods, *names),
        request_headers=(*ONE.request_headers, *names),
        exposed_headers=(*ONE.exposed_headers, *names),
        path='/"; $x',
    )
    assert configuration(stack, bad) == good


@pytest.mark.parametrize("origins", [(), HOSTILE], ids=["none", "hostile"])
def test_without_an_origin_there_is_no_configuration(stack: str, origins: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="no origin that can be listed"):
        configuration(stack, ONE._replace(origins=origins))


@pytest.mark.parametrize("stack_id", ["", "iis", "../nginx", "nginx.j2", "NGINX"])
def test_an_unknown_stack_is_named(stack_id: str) -> None:
    with pytest.raises(KeyError, match="is not one of the stacks nginx, apache"):
        configuration(stack_id, ONE)


def test_repetitions_count_once(stack: str) -> None:
    twice = ONE._replace(origins=ONE.origins * 2, methods=ONE.methods * 2, request_headers=ONE.request_headers * 2)
    assert configuration(stack, twice) == configuration(stack, ONE)


# -- languages that can be read here -----------------------------------------------------------------------------------


def find(data: object, key: str) -> Any:  # noqa: ANN401
    """The first value of a key anywhere in nested data."""
    if isinstance(data, dict):
        if key in data:
            return data[key]
        data = list(data.values())
    if isinstance(data, list):
        return next((found for one in data if (found := find(one, key)) is not None), None)
    return None


@pytest.mark.parametrize("stack_id", YAML_STACKS)
def test_yaml_holds_the_policy(stack_id: str, policy: Policy) -> None:
    data = YAML(typ="safe").load(configuration(stack_id, policy))
    keys = {
        "envoy": ("allow_origin_string_match", "allow_methods"),
        "aws-api-gateway": ("AllowOrigins", "AllowMethods"),
        "aws-s3": ("AllowedOrigins", "AllowedMethods"),
        "aws-cloudfront": ("AccessControlAllowOrigins", "AccessControlAllowMethods"),
    }[stack_id]
    origins, methods = (find(data, key) for key in keys)
    if stack_id == "envoy":
        origins, methods = [one["exact"] for one in origins], methods.split(", ")
    if stack_id == "aws-cloudfront":
        origins, methods = origins["Items"], methods["Items"]
    assert origins == [origin for origin in policy.origins if origin != "null" or STACKS[stack_id].null]
    assert methods == list(policy.methods or ["GET"])


@pytest.mark.parametrize("stack_id", ["django", "flask", "fastapi"])
def test_python_parses(stack_id: str, policy: Policy) -> None:
    ast.parse(configuration(stack_id, policy))


def test_services_get_no_method_that_they_do_not_know() -> None:
    policy = ONE._replace(methods=("PATCH", "PURGE"))
    text = configuration("aws-s3", policy)
    assert "# Left out: PATCH, PURGE." in text
    assert json.dumps(["GET"]) in text
    assert "# Left out: PURGE." in configuration("aws-cloudfront", policy)


def test_go_is_told_of_origins_that_are_not_protected() -> None:
    field = "DangerouslyTolerateInsecureOrigins"
    assert field in configuration("go-jub0bs", POLICIES["insecure"])
    assert field not in configuration("go-jub0bs", POLICIES["many"])
    assert field not in configuration("go-jub0bs", POLICIES["insecure"]._replace(credentials=False))


# -- guesses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stack_id", "lines"),
    [
        ("nginx", ["Server: nginx/1.22.1"]),
        ("nginx", ["server: openresty/1.25.3.1"]),
        ("apache", ["Server: Apache/2.4.62 (Debian)"]),
        ("caddy", ["Server: Caddy"]),
        ("caddy", ["Via: 1.1 Caddy"]),
        ("haproxy", ["Via: 1.1 haproxy-1"]),
        ("envoy", ["server: envoy"]),
        ("envoy", ["x-envoy-upstream-service-time: 3"]),
        ("express", ["X-Powered-By: Express"]),
        ("koa", ["Set-Cookie: koa.sess=abc; path=/"]),
        ("django", ["Server: WSGIServer/0.2 CPython/3.12.1"]),
        ("django", ["Set-Cookie: csrftoken=abc"]),
        ("flask", ["Server: Werkzeug/3.0.1 Python/3.12.1"]),
        ("fastapi", ["server: uvicorn"]),
        ("spring", ["X-Application-Context: application"]),
        ("aspnet", ["X-AspNet-Version: 4.0.30319"]),
        ("aspnet", ["Server: Kestrel"]),
        ("rails", ["X-Runtime: 0.012345"]),
        ("laravel", ["Set-Cookie: laravel_session=abc"]),
        ("aws-api-gateway", ["apigw-requestid: Abc="]),
        ("aws-s3", ["Server: AmazonS3"]),
        ("aws-cloudfront", ["Via: 1.1 abc.cloudfront.net (CloudFront)"]),
        ("cloudflare-workers", ["CF-Worker: example.com"]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0].partition(":")[0],
)
def test_a_stack_is_known_by_its_headers(stack_id: str, lines: list[str]) -> None:
    found = guess(fields(*lines))
    assert found
    assert found.stack == stack_id
    assert found.evidence.partition(";")[0] in {line.partition(";")[0].partition("=abc")[0] for line in lines}


def fields(*lines: str) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode(), value.strip().encode()) for name, _, value in (line.partition(":") for line in lines))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Server: nginx/1.22.1", "X-Powered-By: Express"], Guess("express", "X-Powered-By: Express")),
        (["CF-RAY: 8a", "Server: cloudflare", "X-AspNet-Version: 4.0"], Guess("aspnet", "X-AspNet-Version: 4.0")),
        (["Via: 1.1 x.cloudfront.net (CloudFront)", "Server: AmazonS3"], Guess("aws-s3", "Server: AmazonS3")),
        (["X-Amz-Cf-Id: a", "Server: nginx"], Guess("nginx", "Server: nginx")),
    ],
    ids=["express-behind-nginx", "aspnet-behind-cloudflare", "s3-behind-cloudfront", "nginx-behind-cloudfront"],
)
def test_the_application_wins_over_what_stands_before_it(lines: list[str], expected: Guess) -> None:
    assert guess(fields(*lines)) == expected
    assert guess(fields(*reversed(lines))) == expected


@pytest.mark.parametrize(
    "lines", [[], ["Server: "], ["Server: gunicorn"], ["X-Powered-By: nginx"], ["Set-Cookie: a=csrftoken=b"]], ids=str
)
def test_where_nothing_tells_there_is_no_guess(lines: list[str]) -> None:
    assert guess(fields(*lines)) is None


def test_evidence_shows_no_cookie_and_no_control_character() -> None:
    assert guess(fields("Set-Cookie: connect.sid=s3cret")) == Guess("express", "Set-Cookie: connect.sid")
    shown = guess(((b"Server", b"nginx\x1b[31m\xff" + b"x" * 200),))
    assert shown
    assert shown.evidence.startswith("Server: nginx?[31m?x")
    assert len(shown.evidence) == 80


def test_every_guess_is_a_stack() -> None:
    from corscope.stacks import guesses

    assert {stack for stack, _, _ in guesses._CLUES} <= set(STACKS)
    # What calls itself by no header.
    assert set(STACKS) - {stack for stack, _, _ in guesses._CLUES} == {"fastify", "go-jub0bs", "go-rs"}
