"""The function of the CloudFront configuration, run by Node.js in place of CloudFront."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from ruamel.yaml import YAML

from corscope.policy import Policy
from corscope.stacks import configuration
from serving import Missing, do_without, node

POLICY = Policy(
    origins=("https://app.example", "https://other.example"),
    credentials=True,
    methods=("GET", "PUT"),
    request_headers=("x-tag",),
    max_age=123,
)
ASKS = {"access-control-request-method": "PUT"}


def call(method: str, policy: Policy = POLICY, **headers: str) -> dict[str, Any]:
    """What the function returns for a request."""
    try:
        executable = node()
    except Missing as why:
        do_without(str(why))
    resources = YAML(typ="safe").load(configuration("aws-cloudfront", policy))["Resources"]
    code = resources["Preflights"]["Properties"]["FunctionCode"]
    event = {"request": {"method": method, "uri": "/", "headers": {k: {"value": v} for k, v in headers.items()}}}
    program = f"{code}\nconsole.log(JSON.stringify(handler({json.dumps(event)})))"
    done = subprocess.run([executable, "-e", program], capture_output=True, text=True, check=True, timeout=20)
    returned: dict[str, Any] = json.loads(done.stdout)
    return returned


def test_preflights_of_listed_origins_are_answered() -> None:
    answer = call("OPTIONS", origin="https://other.example", **ASKS)
    assert answer["statusCode"] == 204
    assert {name: one["value"] for name, one in answer["headers"].items()} == {
        "vary": "Origin",
        "access-control-allow-origin": "https://other.example",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "x-tag",
        "access-control-max-age": "123",
    }


@pytest.mark.parametrize("origin", ["https://evil.test", "https://app.example.evil.test", "null"])
def test_preflights_of_others_are_answered_without_cors_headers(origin: str) -> None:
    answer = call("OPTIONS", origin=origin, **ASKS)
    assert answer["statusCode"] == 204
    assert list(answer["headers"]) == ["vary"]


@pytest.mark.parametrize(("method", "headers"), [("GET", {}), ("OPTIONS", {}), ("PUT", ASKS)])
def test_everything_else_goes_on(method: str, headers: dict[str, str]) -> None:
    assert call(method, origin="https://app.example", **headers)["method"] == method
