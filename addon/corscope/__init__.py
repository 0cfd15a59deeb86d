"""corscope: judges CORS exchanges in mitmproxy as real browsers do.

`corscope.check(path)` judges a capture, `corscope.judge(exchange)` one exchange. Importing the package costs nothing:
no module of mitmproxy is loaded before it is needed.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corscope.checking import check, judge

__all__ = ["__version__", "check", "judge"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name in ("check", "judge"):
        from corscope import checking

        return getattr(checking, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
