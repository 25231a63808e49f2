"""One image of a source, as a listing describes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """One image of the source.

    Attributes
    ----------
    path : str
        Its name in stores and ledgers, unique in the source, with forward slashes: relative to the source folder, or
        what the documentation of the kind of source says (``shard-000003.tar/key.jpg``).
    label : int
        Index into the classes of the tree; -1 where there is a problem.
    size, mtime_ns : int
        Bytes, and time of the last change (of the container, where there is one). In Parquet files the size is a mean.
        At URLs, instead of the time, a number that stands for the version: of the ETag, where the server has one.
    container : str
        The file that holds it, relative to the folder of the reader; empty for files of their own.
    position : int
        Where in the container: a byte, or a row.
    problem : str
        Why it cannot become a sample, as far as the listing tells; it is in the ledger with this reason.
    """

    path: str
    label: int
    size: int
    mtime_ns: int
    container: str = ""
    position: int = 0
    problem: str = ""
