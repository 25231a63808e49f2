"""Builds from a server that answers late: images read one after the other and many at a time, tars listed by blocks.

Usage: ``python tests/benchmarks/bench_urls.py FOLDER WORK [--latency 0.03] [--images 600]``

The server speaks as much of S3 as a source needs (lists, lengths, ranges), in a process of its own, and waits before
each answer: what a request costs at a real one, without its bandwidth. Times are of one worker.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import multiprocessing
import shutil
import tarfile
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from xml.sax.saxutils import escape

import freqcache
from freqcache.building import build_tree
from freqcache.remote.paths import RemotePath
from freqcache.sources import SourceFile, SourceReader, list_source, tars


@dataclass(frozen=True)
class OneByOne:
    """A reader that cannot read many files at the same time."""

    reader: SourceReader

    @property
    def root(self) -> Path | RemotePath:
        return self.reader.root

    def read(self, file: SourceFile, length: int = -1) -> bytes:
        return self.reader.read(file, length)


def serve(root: Path, latency: float, pipe: object) -> None:
    """Serve the files below a folder as the objects of one bucket."""
    counts = {"requests": 0, "bytes": 0}

    def listing(query: dict[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        keys, folders = [], set()
        for path in sorted((root / prefix).rglob("*") if not delimiter else (root / prefix).glob("*")):
            key = path.relative_to(root).as_posix()
            if path.is_dir():
                folders |= {f"{key}/"} if delimiter else set()
            else:
                keys.append(f"<Contents><Key>{escape(key)}</Key><Size>{path.stat().st_size}</Size>"
                            f"<ETag>{tag(path)}</ETag></Contents>")  # fmt: skip
        more = [f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders)]
        return f"<ListBucketResult>{''.join(keys + more)}<KeyCount>{len(keys)}</KeyCount></ListBucketResult>".encode()

    def tag(path: Path) -> str:
        return hashlib.md5(str(path).encode(), usedforsecurity=False).hexdigest()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):  # the client needs no more
                writer.close()
                return
            first, *lines = head.decode().split("\r\n")
            method, target, _ = first.split(" ")
            path, _, query = target.partition("?")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            await asyncio.sleep(latency)
            status, extra, body = 200, "", b""
            file = root / urllib.parse.unquote(path).removeprefix("/bucket").lstrip("/")
            if "list-type" in query:
                body = listing(dict(urllib.parse.parse_qsl(query)))
            elif path == "/counts":
                body = repr(counts).encode()
                counts.update(requests=-1, bytes=0)
            elif not file.is_file():
                status = 404
            else:
                extra, body = f"ETag: {tag(file)}\r\n", file.read_bytes() if method == "GET" else b""
                if "range" in fields and method == "GET":
                    begin, _, end = fields["range"].removeprefix("bytes=").partition("-")
                    status, body = 206, body[int(begin) : int(end) + 1]
            length = file.stat().st_size if method == "HEAD" and status == 200 else len(body)
            counts["requests"] += 1
            counts["bytes"] += len(body)
            writer.write(f"HTTP/1.1 {status} X\r\n{extra}Content-Length: {length}\r\n\r\n".encode() + body)
            await writer.drain()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])  # type: ignore[attr-defined]
        await server.serve_forever()

    asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--latency", type=float, default=0.03)
    parser.add_argument("--images", type=int, default=600)
    given = parser.parse_args()
    served = given.work / "served"
    shutil.rmtree(given.work, ignore_errors=True)
    files = sorted(path for path in given.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    chosen = files[:: max(1, len(files) // given.images)][: given.images]
    for path in chosen:
        place = served / "photos" / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    (served / "tars").mkdir()
    for number in range(4):
        with tarfile.open(served / "tars" / f"{number}.tar", "w") as archive:
            for i, path in enumerate(chosen[number::4]):
                for ending, data in (("jpg", path.read_bytes()), ("cls", path.parent.name.encode())):
                    member = tarfile.TarInfo(f"{i:06}.{ending}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
    total = sum(path.stat().st_size for path in chosen)
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(served, given.latency, theirs), daemon=True)
    server.start()
    endpoint = f"http://127.0.0.1:{ours.recv()}"
    options = {"endpoint_url": endpoint, "key": "k", "secret": "s"}
    print(
        f"{len(chosen)} images, {total / len(chosen) / 1000:.0f} kB each; {given.latency * 1000:.0f} ms for each answer"
    )

    def counted(what: str, began: float) -> None:
        seconds = time.perf_counter() - began
        with urllib.request.urlopen(f"{endpoint}/counts") as response:
            counts = eval(response.read())
        print(
            f"{what:44} {seconds:6.2f} s {len(chosen) / seconds:7.0f} images/s "
            f"{counts['requests'] / len(chosen):5.2f} requests and {counts['bytes'] / total:5.2f} times the bytes"
        )

    warm = freqcache.BuildOptions()
    build_tree(list_source(served / "photos"), given.work / "local.zarr", warm, workers=1, quiet=True)
    began = time.perf_counter()
    build_tree(list_source(served / "photos"), given.work / "again.zarr", warm, workers=1, quiet=True)
    counted("build, local folder", began)
    for what, source in (("folder", "s3://bucket/photos"), ("tars", "s3://bucket/tars")):
        began = time.perf_counter()
        tree = list_source(source, storage_options=options)
        counted(f"listing, {what}", began)
        for how in ("many at a time", "one after the other"):
            began = time.perf_counter()
            mine = tree if how == "many at a time" else replace(tree, reader=OneByOne(tree.reader))
            build_tree(mine, given.work / f"{what}-{how}.zarr", warm, workers=1, quiet=True)
            counted(f"build, {what}, {how}", began)
    for block in (1 << 12, 1 << 16, 1 << 20, 4 << 20, 16 << 20):
        tars._BLOCK_AT_A_TIME = block  # type: ignore[misc]
        began = time.perf_counter()
        list_source("s3://bucket/tars", storage_options=options)
        counted(f"listing, tars, blocks of {block >> 10} KiB", began)
    server.terminate()


if __name__ == "__main__":
    main()
