"""The configuration that mends a verdict's story, in the user's own server software: chosen, or guessed and named."""

from typing import Any

from corscope.fixes import fix_of
from corscope.headers import Fields
from corscope.model import Rewrite, Verdict
from corscope.policy import Policy
from corscope.report import as_json
from corscope.stacks import STACKS, configuration, guess

ALLOWS = "It allows what this traffic shows: add what else your pages use."
"""Said before a configuration: a site's pages ask for more than one story tells."""


def configuration_lines(verdict: dict[str, Any], stack: str = "") -> list[str]:
    """Return the configuration that mends a verdict's story, line by line, from its JSON form.

    It is for the server software named, or for the one that was chosen or guessed; nothing where there is none.
    """
    fix = verdict.get("fix")
    if fix is None:
        return []
    chosen = fix.get("stack") or {}
    stack = stack or chosen.get("id", "")
    if not stack:
        return []
    title, file = STACKS[stack].title, STACKS[stack].file
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in fix["policy"].items()
    }
    policy = Policy(**values)
    told = f" ({chosen['evidence']})" if chosen.get("id") == stack and chosen.get("evidence") else ""
    try:
        lines = configuration(stack, policy).splitlines()
    except ValueError as error:
        return ["", f"Configuration for {title}: {error}."]
    return ["", f"Configuration for {title}{told}, in {file}:", ALLOWS, "", *lines]


def verdict_json(
    verdict: Verdict,
    rewrite: Rewrite | None = None,
    *,
    stack: str = "",
) -> dict[str, Any]:
    """Return a verdict as plain JSON values, with the server software to show a configuration for as `fix.stack`.

    `rewrite` as in `report.as_json`; `stack` as in `stack_json`. Of a rewritten exchange `fix` is what the server has
    to change all the same.
    """
    broken = rewrite.was if rewrite is not None and rewrite.applied else verdict
    data = as_json(verdict, rewrite, fix_of(broken))
    if "fix" in data and verdict.exchange is not None:
        data["fix"]["stack"] = stack_json(stack, verdict.exchange.response_headers)
    return data


def stack_json(chosen: str, response_headers: Fields) -> dict[str, str] | None:
    """Return the server software to show a configuration for, and how it is known; None where nothing tells.

    `chosen` is what the user said, empty for nothing.
    """
    if chosen:
        return {"id": chosen, "title": STACKS[chosen].title, "evidence": "chosen by name"}
    guessed = guess(response_headers)
    if guessed is None:
        return None
    return {"id": guessed.stack, "title": STACKS[guessed.stack].title, "evidence": f"guessed from {guessed.evidence}"}
