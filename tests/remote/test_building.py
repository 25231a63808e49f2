"""Builds and rewrites that write to a real S3 server, through a proxy that counts and fails, and to other URLs."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import pytest
from photographs import write_tree
from remote.proxy import Proxy
from remote.server import BUCKET, puts_of_shards

import freqcache
from freqcache.building import making, run
from freqcache.building import shard as shard_module
from freqcache.building.files import FileSource
from freqcache.building.placing import target_of
from freqcache.building.shard import ShardTask, SlotContent, build_shard
from freqcache.building.sharing import Sight, problem_of
from freqcache.engines.releases import releases
from freqcache.errors import BuildError, NoSamplesError
from freqcache.remote import retrying
from freqcache.rewriting import repack
from freqcache.sources.folder import FolderReader
from freqcache.store.remote_targets import RemoteTarget
from freqcache_cli.main import main

Rule = Callable[[str, str], str | None]
FAULTS = ("throttle", "error", "reset", "cut")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying.retrying, "__kwdefaults__", retrying.retrying.__kwdefaults__ | {"first_wait": 0.0})


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with a file that fails."""
    source = write_tree(tmp_path_factory.mktemp("photos") / "photos")
    (source / "train" / "ant" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    return source


@pytest.fixture(scope="module")
def here(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local store of them."""
    out = tmp_path_factory.mktemp("here") / "out.zarr"
    freqcache.build(photos, out, workers=1, quiet=True)
    return out


@pytest.fixture
def there(s3: Proxy, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a store to make; afterwards nothing stands there."""
    name = f"{BUCKET}/made/{abs(hash(request.node.name))}"
    yield f"s3://{name}/out.zarr"
    s3.fault = lambda method, path: None
    system = fsspec.filesystem("s3", use_listings_cache=False)
    if system.exists(name):
        system.rm(name, recursive=True)


@pytest.fixture
def in_memory() -> Iterator[str]:
    """The URL of one in this process."""
    yield "memory://made/out.zarr"
    fsspec.filesystem("memory").rm("/made", recursive=True)


def local_files(store: Path) -> dict[str, bytes]:
    beside = [store.with_name(f"{store.name}.ledger.jsonl")]
    paths = [path for path in (*store.rglob("*"), *beside) if path.is_file()]
    return {path.relative_to(store.parent).as_posix(): path.read_bytes() for path in paths}


def url_files(url: str, **options: Any) -> dict[str, bytes]:
    system, path = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
    parent = path.rpartition("/")[0]
    return {name.removeprefix(f"{parent}/"): data for name, data in system.cat(system.find(parent)).items()}


def every(number: int, fault: str, methods: str = "PUT GET HEAD") -> Rule:
    """Return a rule by which so many requests pass, and the next one fails."""
    passed = 0

    def rule(method: str, path: str) -> str | None:
        nonlocal passed
        passed += method in methods.split()
        return fault if passed and passed % number == 0 and method in methods.split() else None

    return rule


def test_the_same_bytes_stand_at_a_url(photos: Path, here: Path, there: str) -> None:
    report = freqcache.build(photos, there, workers=1, quiet=True)
    assert url_files(there) == local_files(here)
    assert (report.path, report.ledger) == (there, f"{there}.ledger.jsonl")
    assert report.n_failed == 1
    assert report.bytes_out == sum(path.stat().st_size for path in here.rglob("*") if path.is_file())


def test_passing_faults_change_nothing(photos: Path, here: Path, there: str, s3: Proxy) -> None:
    faults = cycle(FAULTS)
    rule, seen = every(13, "fails"), set()

    def in_turn(method: str, path: str) -> str | None:
        if not rule(method, path):
            return None
        fault = next(faults)
        seen.add(fault)
        return fault

    s3.fault = in_turn
    freqcache.build(photos, there, workers=1, quiet=True)
    s3.fault = lambda method, path: None
    assert seen == {*FAULTS}
    assert url_files(there) == local_files(here)


def test_what_was_finished_is_not_written_again(
    photos: Path, here: Path, there: str, s3: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = making.build_shard, []

    def stopping(task: Any) -> int:
        if calls:
            raise KeyboardInterrupt
        calls.append(task)
        return real(task)

    s3.traffic.clear()
    with monkeypatch.context() as patch:
        patch.setattr(making, "build_shard", stopping)
        with pytest.raises(KeyboardInterrupt):
            freqcache.build(photos, there, workers=1, quiet=True)
    with pytest.raises(freqcache.errors.StoreError, match="did not finish"):
        freqcache.open(there)
    report = freqcache.build(photos, there, workers=1, quiet=True)
    assert report.n_resumed == 1
    assert url_files(there) == local_files(here)
    assert set(puts_of_shards(s3).values()) == {1}


@pytest.fixture
def overtaken(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every shard is finished by another worker while it is made; the records of those that were begun."""
    contents, begun = FileSource.contents, set()

    def slow(self: FileSource, task: ShardTask) -> Iterator[SlotContent]:
        if task.record not in begun:
            begun.add(task.record)
            build_shard(task)
        yield from contents(self, task)

    monkeypatch.setattr(FileSource, "contents", slow)
    return begun


def test_a_worker_looks_again_before_it_sends_a_shard(
    photos: Path, here: Path, there: str, s3: Proxy, overtaken: set[str]
) -> None:
    s3.traffic.clear()
    freqcache.build(photos, there, workers=1, quiet=True)
    assert len(overtaken) > 1
    assert url_files(there) == local_files(here)
    assert set(puts_of_shards(s3).values()) == {1}


def test_a_shard_that_is_sent_twice_all_the_same_has_the_same_bytes(
    photos: Path, here: Path, overtaken: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked before either has finished."""
    sent, send = [], RemoteTarget.send

    def sending(self: RemoteTarget, key: str, file: BinaryIO) -> None:
        file.seek(0)
        sent.append((key, file.read()))
        send(self, key, file)

    monkeypatch.setattr(RemoteTarget, "send", sending)
    monkeypatch.setattr(shard_module, "is_done", lambda task: False)
    freqcache.build(photos, "memory://twice/out.zarr", quiet=True)
    assert len(sent) == 2 * len({key for key, _ in sent}) == 2 * len({*sent}) > 4
    assert url_files("memory://twice/out.zarr") == local_files(here)
    fsspec.filesystem("memory").rm("/twice", recursive=True)


def test_a_server_that_goes_on_failing_ends_the_build(
    photos: Path, here: Path, there: str, s3: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    s3.fault = lambda method, path: "throttle" if method == "PUT" and "/val/y/" in path else None
    assert main(["build", str(photos), there, "--workers", "1", "--quiet"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for words in (f"{there}/val/y/c/0/0", "attempts", "the same command goes on from here"):
        assert words in said
    s3.fault = lambda method, path: None
    assert main(["build", str(photos), there, "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert f"{there}: " in said
    assert "1 shards were done already" in said
    assert url_files(there) == local_files(here)


def test_what_stands_there_is_kept_or_replaced(photos: Path, there: str) -> None:
    folder = there.rpartition("/")[0]
    system = fsspec.filesystem("s3", use_listings_cache=False)
    system.pipe_file(f"{folder}/other.zarr/notes.txt", b"precious")
    with pytest.raises(BuildError, match="not a freqcache store; it is left alone"):
        freqcache.build(photos, f"{folder}/other.zarr", workers=1, quiet=True, overwrite=True)
    with pytest.raises(BuildError, match="not a freqcache store; it is left alone"):
        freqcache.build(photos, f"{folder}/other.zarr/notes.txt", workers=1, quiet=True)
    assert system.cat_file(f"{folder}/other.zarr/notes.txt") == b"precious"
    freqcache.build(photos, there, workers=1, quiet=True)
    with pytest.raises(BuildError, match="exists and is complete; --overwrite replaces it"):
        freqcache.build(photos, there, workers=1, quiet=True)
    freqcache.build(photos, there, freqcache.BuildOptions(size=48), workers=1, quiet=True, overwrite=True)
    assert freqcache.open(there).kind == "fixed"
    assert not [name for name in url_files(there) if name.startswith("out.zarr/train/y")]


@pytest.mark.parametrize(("fault", "words"), [("refuse", "AccessDenied"), ("error", "attempts")])
def test_a_store_that_cannot_be_read_is_not_called_something_else(
    photos: Path, there: str, s3: Proxy, fault: str, words: str
) -> None:
    freqcache.build(photos, there, workers=1, quiet=True)
    s3.fault = lambda method, path: fault if (method, path.endswith("out.zarr/zarr.json")) == ("GET", True) else None
    with pytest.raises(BuildError, match=f"cannot be written: .*{words}"):
        freqcache.build(photos, there, workers=1, quiet=True, overwrite=True)


def test_a_worker_that_may_not_read_the_store_says_so(there: str, s3: Proxy) -> None:
    s3.fault = lambda method, path: "refuse"
    reader = FolderReader(root=Path("photos"))
    sight = Sight(releases=releases(), store=target_of(there), fingerprint="one", reader=reader, file=None)
    assert problem_of(sight) == f"cannot read the store that is being built in {there}: AccessDenied"


def test_a_hot_copy_is_not_made_at_a_url(photos: Path, in_memory: str, capsys: pytest.CaptureFixture[str]) -> None:
    freqcache.build(photos, in_memory, quiet=True)
    assert main(["hot", in_memory, "--channels", "6"]) == 1
    assert f"{in_memory}: a hot copy can only be made in a store that is a local folder" in capsys.readouterr().err


def test_a_url_is_not_taken_for_a_local_folder(
    photos: Path, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(here), "memory://made/images"]) == 1
    assert "memory://made/images: images are exported to a folder of this machine" in capsys.readouterr().err
    assert main(["plan", str(photos), "--no-reading", "--workers", "1", "--out", "memory://made/out.zarr"]) == 0
    assert "are free there" not in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_another_unfinished_build_is_refused(photos: Path, there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(making, "build_shard", stop)
        with pytest.raises(KeyboardInterrupt):
            freqcache.build(photos, there, workers=1, quiet=True)
    with pytest.raises(BuildError, match="an unfinished build of other files or with other options"):
        freqcache.build(photos, there, freqcache.BuildOptions(size=48), workers=1, quiet=True)


def meanwhile(monkeypatch: pytest.MonkeyPatch, name: str, other: Callable[[], object]) -> None:
    """Let something happen once, when a build comes to a stage: nothing holds another one off at a URL."""
    real, todo = getattr(run, name), [other]

    def stage(*arguments: Any, **keywords: Any) -> Any:
        if todo:
            todo.pop()()
        return real(*arguments, **keywords)

    monkeypatch.setattr(run, name, stage)


def test_a_store_that_another_run_has_completed_is_not_built_again(
    photos: Path, here: Path, in_memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = in_memory
    meanwhile(monkeypatch, "plan_splits", lambda: freqcache.build(photos, out, quiet=True))
    with pytest.raises(BuildError, match="another run has completed a store there meanwhile; it is left alone"):
        freqcache.build(photos, out, quiet=True)
    assert url_files(out) == local_files(here)


def test_a_build_that_another_one_replaces_at_its_end_does_not_complete_it(
    photos: Path, here: Path, in_memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = in_memory

    def other() -> None:
        with monkeypatch.context() as patch:
            meanwhile(patch, "make_shards", stop)
            with pytest.raises(KeyboardInterrupt):
                freqcache.build(photos, out, quiet=True, overwrite=True)

    def stop() -> None:
        raise KeyboardInterrupt

    meanwhile(monkeypatch, "write_ledger", other)
    with pytest.raises(BuildError, match="another build has taken this one's place meanwhile"):
        freqcache.build(photos, out, freqcache.BuildOptions(size=48), quiet=True)
    with pytest.raises(freqcache.errors.StoreError, match="did not finish"):
        freqcache.open(out)
    freqcache.build(photos, out, quiet=True)
    assert url_files(out) == local_files(here)


def test_a_build_without_a_sample_leaves_its_ledger(there: str, tmp_path: Path) -> None:
    (tmp_path / "photos" / "ant").mkdir(parents=True)
    (tmp_path / "photos" / "ant" / "a.jpg").write_bytes(b"no image")
    with pytest.raises(NoSamplesError, match=r"none of its 1 files could be used.*out\.zarr\.ledger\.jsonl"):
        freqcache.build(tmp_path / "photos", there, workers=1, quiet=True)
    assert list(url_files(there)) == ["out.zarr.ledger.jsonl"]


def test_rewriting_from_a_url_to_a_url(photos: Path, here: Path, there: str, tmp_path: Path) -> None:
    freqcache.build(photos, there, workers=1, quiet=True)
    local = repack(here, tmp_path / "some.zarr", channels="24", workers=1, quiet=True)
    found = repack(there, there.replace("out.zarr", "some.zarr"), channels="24", workers=1, quiet=True)
    assert found.path == there.replace("out.zarr", "some.zarr")
    assert found.id == local.id
    with pytest.raises(BuildError, match="would replace its own source"):
        repack(there, there, channels="24", workers=1, quiet=True, overwrite=True)
    with pytest.raises(BuildError, match="lies inside its own source"):
        repack(there, f"{there}/some.zarr", channels="24", workers=1, quiet=True)


def test_file_systems_that_are_no_object_stores(photos: Path, here: Path, tmp_path: Path) -> None:
    """There, a file that is not finished has another name."""
    (tmp_path / "by-url").mkdir()
    (tmp_path / "by-url" / "out.zarr").mkdir()
    freqcache.build(photos, f"file://{tmp_path}/by-url/out.zarr", workers=2, quiet=True)
    assert local_files(tmp_path / "by-url" / "out.zarr") == local_files(here)


def test_what_is_not_finished_has_no_name_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are killed where a build fails; nothing of theirs may stay among the temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    target = target_of("memory://made/out.zarr")
    file = target.create("train/y/c/0/0")
    file.write(b"of a shard")
    file.seal()
    assert not list(tmp_path.iterdir())
    file.place()
    assert target.read("train/y/c/0/0") == b"of a shard"
    fsspec.filesystem("memory").rm("/made", recursive=True)


def test_a_full_temporary_folder_is_not_taken_for_the_store(
    photos: Path, there: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def on_a_full_disk(**_: object) -> BinaryIO:
        return Path("/dev/full").open("w+b")

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", on_a_full_disk)
        assert main(["build", str(photos), there, "--workers", "1", "--quiet"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for words in ("No space left on device", "among the temporary files", tempfile.gettempdir(), "goes on from here"):
        assert words in said
    assert main(["build", str(photos), there, "--workers", "1", "--quiet"]) == 0


@pytest.mark.parametrize("arguments", [["build", "{photos}", "memory://made/out.zarr"], ["plan", "{photos}"]])
def test_no_temporary_folder_at_all(
    photos: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", missing)
    assert main([word.format(photos=photos) for word in arguments] + ["--quiet"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "No usable temporary directory found; TMPDIR says where" in said


def test_memory_is_of_one_process(photos: Path, here: Path) -> None:
    with pytest.raises(BuildError, match=r"is of this process alone; workers: expected 1, found 2"):
        freqcache.build(photos, "memory://made/out.zarr", workers=2, quiet=True)
    freqcache.build(photos, "memory://made/out.zarr", quiet=True)
    assert url_files("memory://made/out.zarr") == local_files(here)
    fsspec.filesystem("memory").rm("/made", recursive=True)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://bucket", "a store needs a name of its own there"),
        ("s3://no-such-bucket/out.zarr", "cannot be written: The specified bucket does not exist"),
        ("nonsense://a/b", "cannot be written: Protocol not known: nonsense"),
    ],
)
def test_places_that_cannot_be_written(
    photos: Path, s3: Proxy, url: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(photos), url, "--workers", "1", "--quiet"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{url}: {words}" in said
