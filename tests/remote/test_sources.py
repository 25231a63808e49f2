"""Stores built from sources in a real S3 server, against those built from the same files on a local disk."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.registry import known_implementations
from made_sources import content, images, write_manifest, write_parquet, write_tar, write_tars
from photographs import encoded
from remote.proxy import Proxy

import freqcache
from freqcache.errors import BuildError, SourceError
from freqcache.remote import retrying
from freqcache.sources import SourceFile, SourceTree, list_source
from freqcache.sources.ahead import read_ahead
from freqcache_cli.main import main

SMALL = freqcache.BuildOptions(size=16)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every retry comes at once: here, and in the libraries of the object store."""
    import s3fs

    monkeypatch.setattr(retrying, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(retrying.retrying, "__kwdefaults__", retrying.retrying.__kwdefaults__ | {"first_wait": 0.0})
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    _forget_connections()
    yield
    s3fs.S3FileSystem.clear_instance_cache()
    _forget_connections()


def _forget_connections() -> None:
    from freqcache.remote import paths
    from freqcache.sources import remote_reading

    paths._connected.clear()
    remote_reading._unchanged.clear()


@pytest.fixture(scope="module")
def made(local: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind of source of the same photographs, and the stores of them."""
    root = tmp_path_factory.mktemp("made")
    shutil.copytree(local / "photos", root / "photos")
    photos = root / "photos"
    deep = photos / "train" / "bee" / "deep"
    deep.mkdir()
    (deep / "0.jpg").write_bytes(encoded(90, 40, 40))
    (photos / "train" / "bee" / "z.jpeg").write_bytes(encoded(91, 40, 40))
    (photos / "train" / "ant" / "6.jpg").write_bytes(encoded(92, 320, 320, quality=99))  # longer than a first look
    (photos / "train" / "ant" / "notes.txt").write_text("no image")
    (photos / "README").write_text("no image")
    (photos / "val" / "ant" / ".hidden.jpg").write_bytes(b"hidden")
    (photos / "val" / "ant" / "empty.jpg").write_bytes(b"")
    (photos / "val" / "ant" / "broken.jpg").write_bytes(b"\xff\xd8broken")
    (photos / "train" / "nothing").mkdir()
    (photos / "train" / "nothing" / "notes.txt").write_text("no class")
    write_manifest(photos, root / "photos.csv")
    write_tars(photos, root / "tars")
    pytest.importorskip("pyarrow")
    write_parquet(photos, root / "parquet")
    return root


@pytest.fixture(scope="module")
def url(s3: Proxy, made: Path) -> str:
    """The URL of a folder with the same."""
    import s3fs

    system: Any = s3fs.S3FileSystem()
    system.put(f"{made}/", "bucket/made", recursive=True)
    system.touch("bucket/made/photos/train/")  # what consoles make of a folder
    return "s3://bucket/made"


@pytest.fixture
def s3fs_system(s3: Proxy) -> Any:
    import s3fs

    return s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)


def build(source: str | Path, out: str | Path, options: freqcache.BuildOptions = SMALL, **more: Any) -> Any:
    return freqcache.build(source, out, options, **({"workers": 1, "quiet": True} | more))


def listed(tree: SourceTree) -> Any:
    """Return what a listing says, but versions."""
    files = {split: [(f.path, f.label, f.size, bool(f.problem)) for f in found] for split, found in tree.splits.items()}
    return tree.classes, files, tree.ignored, tree.empty_folders


PATTERN = "tars/train-{000000..000002}.tar"
KINDS = ["photos", "photos/train", "photos.csv", "tars", PATTERN, "tars/val-000000.tar", "parquet"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_at_a_url_gives_the_same_store(kind: str, made: Path, url: str, tmp_path: Path) -> None:
    here, there = list_source(made / kind), list_source(f"{url}/{kind}")
    assert listed(there) == listed(here)
    reports = [build(where, tmp_path / f"{i}.zarr") for i, where in enumerate([str(made / kind), f"{url}/{kind}"])]
    assert content(tmp_path / "1.zarr") == content(tmp_path / "0.zarr")
    assert freqcache.open(tmp_path / "1.zarr").id == freqcache.open(tmp_path / "0.zarr").id
    assert [f.reason for f in reports[1].failures] == [f.reason for f in reports[0].failures]
    assert sorted(path.name.split(".", 1)[1] for path in tmp_path.iterdir() if path.name[0] == "1") in (
        ["zarr"], ["zarr", "zarr.ledger.jsonl"]
    )  # fmt: skip


def test_several_processes_build_from_urls_to_urls(made: Path, url: str, tmp_path: Path) -> None:
    build(made / "photos", tmp_path / "0.zarr", freqcache.BuildOptions())
    there = "s3://bucket/several/1.zarr"
    build(f"{url}/photos", there, freqcache.BuildOptions(), workers=2)
    files = {path.relative_to(tmp_path / "0.zarr").as_posix(): path for path in (tmp_path / "0.zarr").rglob("*")}
    system = fsspec.filesystem("s3", use_listings_cache=False)
    found = {key.removeprefix("bucket/several/1.zarr/"): data for key, data in system.cat(system.find(there)).items()}
    assert found == {key: path.read_bytes() for key, path in files.items() if path.is_file()}


def test_a_local_manifest_names_urls(made: Path, url: str, tmp_path: Path) -> None:
    rows = ["path,label"]
    for split, name, path in images(made / "photos"):
        inside = path.relative_to(made).as_posix()
        if split == "train":
            rows.append(f"{url}/{inside},{name}" if path.suffix == ".jpg" else f"{path},{name}")
    rows += [f"{url}/photos/train/gone.jpg,ant", f"{url}/photos/train,ant"]
    (tmp_path / "mixed.csv").write_text("\n".join(rows))
    tree = list_source(tmp_path / "mixed.csv")
    files = tree.splits["all"]
    assert [file.problem for file in files[-2:]] == ["cannot be read: no such object", "cannot be read: a folder"]
    found = list(read_ahead(tree.reader, files[:-2]))
    assert found == [path.read_bytes() for split, _, path in images(made / "photos") if split == "train"]
    report = build(tmp_path / "mixed.csv", tmp_path / "mixed.zarr")
    assert (report.n_samples, report.n_failed) == (len(files) - 2, 2)


@pytest.mark.parametrize("kind", ["photos", "tars/train-000000.tar"])
def test_one_image_is_one_request(kind: str, url: str, s3: Proxy) -> None:
    tree = pickle.loads(pickle.dumps(list_source(f"{url}/{kind}")))
    file = tree.splits["train"][0]
    tree.reader.read(file, 16)  # the tar is looked at once
    s3.traffic.clear()
    assert len(tree.reader.read(file)) == file.size
    assert len(tree.reader.read(file, 100)) == 100
    assert [method for method, _, _ in s3.traffic.requests] == ["GET", "GET"]
    assert s3.traffic.bytes_sent == file.size + 100


def test_a_listing_asks_little(url: str, s3: Proxy) -> None:
    list_source(f"{url}/photos")
    s3.traffic.clear()
    list_source(f"{url}/photos")
    # The folder, two splits, and five class folders.
    assert [method for method, _, _ in s3.traffic.requests] == ["GET"] * 8
    s3.traffic.clear()
    list_source(f"{url}/photos.csv")
    # Its length, itself, the two folders with eight images and more, and 15 other images.
    methods = [(method, "list-type" in path) for method, path, _ in s3.traffic.requests]
    assert Counter(methods) == {("HEAD", False): 1 + 15, ("GET", False): 1, ("GET", True): 2}
    s3.traffic.clear()
    tree = list_source(f"{url}/tars")
    tars = {file.container for files in tree.splits.values() for file in files}
    # The folder, classes.txt, and of each tar its content and, once more, its version.
    assert len(s3.traffic.requests) == 2 + 2 * len(tars)


def once(fault: str, where: str, methods: tuple[str, ...] = ("GET", "HEAD")) -> Callable[[str, str], str | None]:
    """Return a rule by which the first request for each such object fails; of several faults, each in its turn."""
    seen: set[tuple[str, str]] = set()
    faults = cycle(fault.split())

    def rule(method: str, path: str) -> str | None:
        if method not in methods or where not in path or (method, path) in seen:
            return None
        seen.add((method, path))
        return next(faults)

    return rule


@pytest.mark.parametrize(
    ("kind", "fault"),
    [("photos", "throttle error reset cut"), ("tars", "cut"), ("parquet", "reset"), ("photos.csv", "error")],
)
def test_what_passes_does_not_show(kind: str, fault: str, made: Path, url: str, s3: Proxy, tmp_path: Path) -> None:
    s3.traffic.clear()
    s3.fault = once(fault, "/bucket", ("GET",))
    report = build(f"{url}/{kind}", tmp_path / "there.zarr")
    assert s3.traffic.faults > 3
    s3.fault = lambda method, path: None
    here = build(made / kind, tmp_path / "here.zarr")
    assert [f.path for f in report.failures] == [f.path for f in here.failures]
    assert content(tmp_path / "there.zarr") == content(tmp_path / "here.zarr")


@pytest.mark.parametrize("fault", ["throttle", "error", "reset", "cut", "refuse"])
def test_what_does_not_pass_ends_the_build_and_blames_no_image(
    fault: str, made: Path, url: str, s3: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "there.zarr"
    gets: dict[str, int] = {}

    def second_time(method: str, path: str) -> str | None:
        """Fail when an image is read whole: its header was read before."""
        if method != "GET" or not path.endswith("/train/bee/z.jpeg"):
            return None
        gets[path] = gets.get(path, 0) + 1
        return fault if gets[path] > 1 else None

    s3.fault = second_time
    assert main(["build", f"{url}/photos", str(out), "--size", "16", "--workers", "1", "--quiet"]) == 1
    shown = capsys.readouterr().err.strip()
    what = "access is refused" if fault == "refuse" else r"cannot be reached"
    assert len(shown.splitlines()) == 1
    assert what in shown
    assert "the same command goes on" in shown
    assert ("after 2 attempts" in shown) == (fault != "refuse")
    assert 2 <= sum(gets.values()) <= 5  # a connection that is reset is tried again once more below
    assert not Path(f"{out}.ledger.jsonl").exists()
    with pytest.raises(freqcache.errors.StoreError):
        freqcache.open(out)
    s3.fault = lambda method, path: None
    build(f"{url}/photos", out)
    build(made / "photos", tmp_path / "here.zarr")
    assert content(out) == content(tmp_path / "here.zarr")


def test_a_server_that_fails_while_it_is_listed(url: str, s3: Proxy) -> None:
    s3.fault = lambda method, path: "error"
    for kind in ("photos", "tars/x.tar", "photos.csv", "tars/train-{000000..000002}.tar"):
        with pytest.raises(BuildError, match=r"cannot be reached \(.*after 2 attempts\); once it can"):
            list_source(f"{url}/{kind}")
    s3.fault = lambda method, path: "refuse"
    with pytest.raises(BuildError, match=r"photos: access is refused \(.*\); once it is granted"):
        list_source(f"{url}/photos")


def put(system: Any, folder: str, files: dict[str, bytes]) -> str:
    for name, data in files.items():
        system.pipe_file(f"bucket/{folder}/{name}", data)
    return f"s3://bucket/{folder}"


def test_objects_that_change_are_what_changed_files_are(s3fs_system: Any, tmp_path: Path) -> None:
    photos = {f"{name}/{i}.jpg": encoded(i, 40, 40) for name in ("ant", "bee") for i in range(5)}
    source = put(s3fs_system, "changing", photos)
    tree = list_source(source)
    s3fs_system.rm("bucket/changing/ant/1.jpg")
    s3fs_system.pipe_file("bucket/changing/ant/2.jpg", photos["ant/2.jpg"] + b"more")
    s3fs_system.pipe_file("bucket/changing/ant/3.jpg", photos["ant/3.jpg"][:99])
    found = dict(zip(photos, read_ahead(tree.reader, tree.splits["all"]), strict=True))
    reasons = {name: str(data) for name, data in found.items() if isinstance(data, SourceError)}
    assert reasons == {
        "ant/1.jpg": "cannot be read: no such object",
        "ant/2.jpg": f"has changed since it was listed: more bytes, and not {len(photos['ant/2.jpg'])}",
        "ant/3.jpg": f"has changed since it was listed: 99 bytes, and not {len(photos['ant/3.jpg'])}",
    }
    again = list_source(source)
    versions = [{f.path: f.mtime_ns for f in one.splits["all"]} for one in (tree, again)]
    assert {path for path in versions[1] if versions[0][path] != versions[1][path]} == {"ant/2.jpg", "ant/3.jpg"}
    s3fs_system.rm("bucket/changing", recursive=True)
    with pytest.raises(BuildError, match="changing/ant: this folder of the source has vanished; once it is back"):
        tree.reader.read(tree.splits["all"][0])


def test_tars_that_change_end_the_build(s3: Proxy, s3fs_system: Any, tmp_path: Path) -> None:
    members = [(f"{i}.{end}", encoded(i, 40, 40) if end == "jpg" else b"1") for i in range(4) for end in ("jpg", "cls")]
    data = write_tar(tmp_path / "one.tar", members).read_bytes()
    source = put(s3fs_system, "tar", {"one.tar": data}) + "/one.tar"
    tree = list_source(source)
    s3fs_system.pipe_file("bucket/tar/one.tar", data + bytes(10_240))
    with pytest.raises(BuildError, match=r"one.tar: this file of the source has changed since it was listed"):
        tree.reader.read(tree.splits["all"][0])
    s3fs_system.pipe_file("bucket/tar/one.tar", data)
    tree = list_source(source)
    tree.reader.read(tree.splits["all"][0])  # looked at
    s3fs_system.pipe_file("bucket/tar/one.tar", data + bytes(10_240))
    with pytest.raises(BuildError, match=r"one.tar: this file of the source has changed since it was listed"):
        freqcache.building.build_tree(tree, tmp_path / "changed.zarr", SMALL, workers=1, quiet=True)
    with pytest.raises(freqcache.errors.StoreError):
        freqcache.open(tmp_path / "changed.zarr")
    s3fs_system.rm("bucket/tar/one.tar")
    with pytest.raises(BuildError, match=r"one.tar: this file of the source is no longer there"):
        freqcache.building.build_tree(tree, tmp_path / "changed.zarr", SMALL, workers=1, quiet=True)


def test_what_is_no_source_is_one_message(
    url: str, s3fs_system: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(s3fs_system, "odd", {"saved/state.json": b"{}", "flat/x.jpg": b"x", "one.jpg": b"x", "x.tar.gz": b"x"})
    put(s3fs_system, "odd", {"both/a.tar": b"x", "both/a.parquet": b"x", "no/a/b.txt": b"x", "bad.tar": b"no tar"})
    for source, message in {
        "s3://bucket/gone": "gone: no such folder, or an empty one",
        "s3://bucket/gone.csv": "gone.csv: no such file",
        "s3://no-such-bucket/photos": "photos: cannot be listed: The specified bucket does not exist",
        "s3://bucket/odd/flat": "flat: it has no class folders",
        "s3://bucket/odd/no": "no: no images in its 1 class folders (1 other files)",
        "s3://bucket/odd/one.jpg": "one.jpg: one image is no source",
        "s3://bucket/odd/x.tar.gz": "x.tar.gz: cannot be read as it is; gunzip it",
        "s3://bucket/odd/saved": "saved: what save_to_disk wrote is read from local disks only",
        "s3://bucket/odd/both": "both: holds both .tar and .parquet files",
        "s3://bucket/odd/bad.tar": "bad.tar: is damaged, cut off, or no tar file",
        "s3://bucket/t-{0..2}.tar": "3 of its 3 files are missing; the first: s3://bucket/t-0.tar",
        "zip://photos::s3://bucket/x.zip": "chained URLs are not read",
        "nowhere://x/y": "nowhere://x/y: cannot be read: ",
        "http://127.0.0.1:9/photos": "does not tell what is in a folder; give a manifest",
    }.items():
        assert main(["build", source, str(tmp_path / "out.zarr"), "--workers", "1"]) == 1
        shown = capsys.readouterr().err.strip()
        assert message in shown
        assert len(shown.splitlines()) == 1
        assert not list(tmp_path.iterdir())
    missing = {"class": "gcsfs_that_is_missing.FileSystem", "err": "Please install gcsfs"}
    monkeypatch.setitem(known_implementations, "gs", missing)
    with pytest.raises(BuildError, match=r"gs://b/x: cannot be read: .*pip install gcsfs"):
        list_source("gs://b/x")


def test_a_wrong_endpoint_is_one_message() -> None:
    options = {"endpoint_url": "http://127.0.0.1:9", "key": "k", "secret": "s"}
    with pytest.raises(BuildError, match=r"s3://b/x: cannot be reached \(Could not connect to the endpoint URL"):
        list_source("s3://b/x", storage_options=options)


def test_other_file_systems(made: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(f"{made}/", "/made", recursive=True)
    try:
        assert listed(list_source("memory://made/photos")) == listed(list_source(made / "photos"))
        for kind, workers in (("photos", 2), ("tars", 1)):
            build(made / kind, tmp_path / "here.zarr", overwrite=True)
            build(f"memory://made/{kind}", tmp_path / "there.zarr", overwrite=True, workers=workers)  # copied first
            assert content(tmp_path / "there.zarr") == content(tmp_path / "here.zarr")
    finally:
        memory.rm("/made", recursive=True)


def test_http_servers_give_what_need_not_be_listed(
    made: Path, url: str, s3: Proxy, s3fs_system: Any, tmp_path: Path
) -> None:
    pytest.importorskip("aiohttp")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/*"}
    s3fs_system.call_s3("put_bucket_policy", Bucket="bucket", Policy=json.dumps({"Statement": [statement]}))
    server = f"{s3.url}/bucket/made"
    for kind in ("photos.csv", PATTERN, "tars/val-000000.tar"):
        assert listed(list_source(f"{server}/{kind}")) == listed(list_source(made / kind))
    build(made / "photos.csv", tmp_path / "here.zarr")
    s3.fault = once("cut", "/train/")
    build(f"{server}/photos.csv", tmp_path / "there.zarr")
    assert s3.traffic.faults
    assert content(tmp_path / "there.zarr") == content(tmp_path / "here.zarr")
    tree = list_source(f"{server}/photos.csv")
    s3.fault = lambda method, path: "error"
    with pytest.raises(BuildError, match=r"cannot be reached \(500.*after 5 attempts\); once it can"):
        tree.reader.read(tree.splits["train"][0])
    with pytest.raises(BuildError, match=r"photos.csv: cannot be reached \(500"):
        list_source(f"{server}/photos.csv")
    s3.fault = lambda method, path: "refuse"
    with pytest.raises(BuildError, match=r"access is refused \(403"):
        tree.reader.read(tree.splits["train"][0])


def test_commands_take_urls(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "there.zarr"
    assert main(["build", f"{url}/photos", str(store), "--size", "16", "--workers", "1", "--quiet"]) == 0
    assert main(["verify", str(store), "--source", f"{url}/photos", "--workers", "1", "--quiet"]) == 0
    bench = ["--seconds", "1", "--repeats", "1", "--channels", "24", "--order", "stored", "--quiet"]
    assert main(["bench", str(store), "--source", f"{url}/photos", *bench]) == 0
    assert f"{url}/photos is not on a local disk" in capsys.readouterr().out
    plan = ["--size", "16", "--sample", "4", "--no-reading", "--workers", "1", "--quiet"]
    assert main(["plan", f"{url}/photos", *plan]) == 0
    assert f"{url}/photos: 32 files in 2 classes" in capsys.readouterr().out


def test_windows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from freqcache.sources import ahead

    asked: list[int] = []

    class Many:
        root = Path()

        def read(self, file: SourceFile, length: int = -1) -> bytes:
            raise NotImplementedError

        def read_many(self, files: list[SourceFile], length: int = -1) -> list[bytes | SourceError]:
            asked.append(len(files))
            return [file.path.encode() for file in files]

    monkeypatch.setattr(ahead, "_WINDOW_FILES", 4)
    monkeypatch.setattr(ahead, "_WINDOW_BYTES", 100)
    sizes = [10] * 9 + [90, 20, 500, 1]
    files = [SourceFile(path=str(i), label=0, size=size, mtime_ns=0) for i, size in enumerate(sizes)]
    reading = read_ahead(Many(), iter(files))
    assert next(reading) == b"0"
    assert sum(asked) <= 8  # a window, and the next
    assert [b"0", *reading] == [str(i).encode() for i in range(len(files))]
    assert asked == [4, 4, 2, 1, 1, 1]
    asked.clear()
    assert len(list(read_ahead(Many(), files, 5))) == len(files)
    assert asked == [4, 4, 4, 1]
