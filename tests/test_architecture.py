"""The layers: imports go only downwards, and the core knows neither mitmproxy nor the outside world."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ADDON = Path(__file__).parent.parent / "addon"
PACKAGE = ADDON / "corscope"

LAYERS = (
    {"headers", "origins", "privacy", "catalogue", "memory"},
    {"model", "policy"},
    {"cookies", "cookie_jar", "engine", "scope", "content_security_policy"},
    {"modes", "credentials", "causes", "http_cache", "intermediaries"},
    {"console", "findings", "stories"},
    {"preflights", "follow_ups", "verdicts", "rewriter"},
    {"diagnosis", "fixes"},
    {"session", "report"},
    {"adapter", "public_suffixes", "stacks", "flow_filters"},
    {"rewriting", "advice", "captures", "settings", "files", "report_file"},
    {"view", "baselines"},
    {"checking", "formats", "lab"},
    {"pages"},
    {"addon"},
)
"""A module imports only from layers before its own; a folder's modules also from one another."""
CORE = set[str]().union(*LAYERS[:8])
LEAVES = {
    "browsers": {"run", "recorder", "proxy"},
    "assertions": {"proxy", "pytest_plugin"},
    "proxy": {"cli", "recorder", "pytest_plugin"},
    "run": {"cli"},
    "cli": set[str](),
    "pytest_plugin": set[str](),
    "recorder": set[str](),
    "docs": set[str](),
}
"""What nothing imports but the entry points named, so that it could be deleted."""
PURE = {
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "ipaddress",
    "itertools",
    "re",
    "string",
    "types",
    "typing",
    "urllib.parse",
}
"""What the core takes of the standard library: none of it does input or output, or reads a clock."""
IMPURE_BUILTINS = {"open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint"}


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a tree, in functions too; of `from a import b` that is `a`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names = (f"corscope.{alias.name}" for alias in node.names)
            yield from names if node.module == "corscope" else (node.module or "",)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def own(path: Path) -> str:
    """The name that a file has in the layers: its module's, or its folder's."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_only_downwards(path: Path) -> None:
    name = own(path)
    layer = next((number for number, names in enumerate(LAYERS) if name in names), None)
    assert layer is not None or name in LEAVES, f"{name} is in no layer and no leaf: say in this test where it belongs"
    below = set[str]().union(*LAYERS[: len(LAYERS) if layer is None else layer])
    for module in imported(parse(path)):
        if module.partition(".")[0] != "corscope" or module == "corscope.__version__":
            continue
        other = module.split(".")[1]
        within = other == name and (PACKAGE / name).is_dir()
        allowed = other in below or within or (layer is None and name in LEAVES.get(other, ()))
        assert allowed, f"{name} must not import {module}"


def test_the_stacks_know_policies_and_headers_only() -> None:
    known = {"corscope.policy", "corscope.headers"}
    for path in (PACKAGE / "stacks").glob("*.py"):
        others = {module for module in imported(parse(path)) if module.startswith(("corscope", "mitmproxy"))}
        assert {other for other in others if not other.startswith("corscope.stacks.")} <= known


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_core_is_pure(name: str) -> None:
    paths = [path for path in FILES if own(path) == name]
    assert paths
    for tree in map(parse, paths):
        outside = {module for module in imported(tree) if module.partition(".")[0] != "corscope"}
        assert {module.removesuffix(".abc") for module in outside} <= PURE
        assert not {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & IMPURE_BUILTINS


def test_importing_the_package_or_the_core_does_not_import_mitmproxy() -> None:
    for modules in (["corscope"], ["corscope", *(f"corscope.{name}" for name in sorted(CORE))]):
        program = f"import sys, {', '.join(modules)}; print(*(name.partition('.')[0] for name in sys.modules))"
        done = subprocess.run([sys.executable, "-c", program], cwd=ADDON, capture_output=True, text=True, check=True)
        loaded = set(done.stdout.split())
        assert "corscope" in loaded
        assert not loaded & {"mitmproxy", "socket", "asyncio", "logging", "json"}


def test_the_script_is_two_statements() -> None:
    docstring, *statements = parse(ADDON / "cors_addon.py").body
    assert isinstance(docstring, ast.Expr)
    assert [ast.unparse(one) for one in statements] == [
        "from corscope.addon import CorsAddon",
        "addons = [CorsAddon()]",
    ]
