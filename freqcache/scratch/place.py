"""Where temporary files of this machine lie that have no better place: ``TMPDIR``, as Python's tempfile finds it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from freqcache.errors import BuildError


def temporary_folder() -> Path:
    """Return the system's folder for temporary files.

    Raises
    ------
    BuildError
        If there is none that can be written.
    """
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        msg = f"no temporary file can be made: {error.strerror or error}; TMPDIR says where"
        raise BuildError(msg) from error
