"""A folder for the files of work that writes nothing beside a store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from freqcache.errors import BuildError


@contextmanager
def scratch_folder(inside: str | Path | None = None) -> Iterator[Path]:
    """Yield a new folder, which goes with everything in it.

    Parameters
    ----------
    inside : path, optional
        Where; among the system's temporary files (``TMPDIR``) by default.

    Raises
    ------
    BuildError
        If it cannot be made.
    """
    try:
        folder = Path(mkdtemp(prefix="freqcache-", dir=inside))
    except OSError as error:
        where, hint = (f"{inside}: ", "") if inside else ("", "; TMPDIR says where")
        msg = f"{where}no temporary folder can be made: {error.strerror or error}{hint}"
        raise BuildError(msg) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
