"""Files that are written whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

ODD = "backslashreplace"
"""What becomes of characters that can't be written, such as those of file names that are no text."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a UTF-8 text file that takes its name only when it is complete.

    What a link leads to is replaced, and the link stays, as do permissions. A device, a pipe and `/dev/stdout` are
    written as it comes. Raises OSError.
    """
    named = Path(path)
    if _is_stream(named):
        with named.open("a", encoding="utf-8", errors=ODD) as file:
            yield file
        return
    target = Path(os.path.realpath(named))
    try:
        handle, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    except OSError as error:
        if not os.access(target, os.W_OK):
            # By the name that the user knows.
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        # Nothing can be made in that folder, but the file is ours to write.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors=ODD, newline="\n") as file:
            yield file
            file.seek(0)
            with target.open("w", encoding="utf-8", errors=ODD, newline="\n") as out:
                shutil.copyfileobj(file, out)
        return
    try:
        with open(handle, "w", encoding="utf-8", errors=ODD, newline="\n") as file:
            yield file
        os.chmod(draft, (target.stat().st_mode & 0o777) if target.exists() else 0o666 & ~_umask())
        os.replace(draft, target)
    except BaseException:
        os.unlink(draft)
        raise


def _is_stream(path: Path) -> bool:
    """Tell what can't be replaced: a device, a pipe, a folder, or a name for something that is open already."""
    if path.exists() and not path.is_file():
        return True
    folder = Path(os.path.abspath(path)).parent.as_posix()
    return folder == "/dev" or folder.startswith(("/dev/fd", "/proc/"))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
