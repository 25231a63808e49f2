"""What s3fs has to be told, and other file systems of fsspec do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_PROTOCOLS: Final = ("s3", "s3a")


def file_system_options(protocol: str, options: Mapping[str, Any], connections: int) -> dict[str, Any]:
    """Let botocore have as many connections as there are requests: it has ten where nobody says."""
    from fsspec.config import conf

    if protocol not in _PROTOCOLS or "config_kwargs" in options:
        return dict(options)
    if any("config_kwargs" in conf.get(name, {}) for name in _PROTOCOLS):
        return dict(options)
    return {**options, "config_kwargs": {"max_pool_connections": connections}}


def whole_file_options(protocol: str) -> dict[str, Any]:
    """Let a whole object be read by one request: s3fs asks for its length first, to read a long one in parts."""
    return {"max_concurrency": 1} if protocol in _PROTOCOLS else {}
