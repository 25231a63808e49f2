"""What a build may touch at its place, and what it makes of an earlier build's state."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from photographs import write_tree

import freqcache
from freqcache.building import BuildOptions
from freqcache.building.files import FileSource
from freqcache.building.form import StoreForm
from freqcache.building.journal import Journal
from freqcache.building.records import ShardRecord
from freqcache.building.shard import ShardTask, is_done
from freqcache.errors import BuildError
from freqcache.sources.folder import FolderReader
from freqcache.store.targets import LocalTarget


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("journal") / "photos", per_class=2)


def build(photos: Path, out: Path, **keywords: object) -> None:
    freqcache.build(photos, out, workers=1, quiet=True, **keywords)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        ("Sources/main.swift", ".build/debug.yaml"),
        (".build/state.json",),
        (".build/lock", "train/notes.txt"),
        ("zarr.json",),
        ("train/photo.jpg",),
    ],
)
def test_what_no_build_made_is_left_alone(
    photos: Path, tmp_path: Path, names: tuple[str, ...], overwrite: bool
) -> None:
    out = tmp_path / "project"
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("{}")
    with pytest.raises(BuildError, match="not a freqcache store; it is left alone"):
        build(photos, out, overwrite=overwrite)
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == set(names)


def test_overwriting_leaves_other_files_in_the_store(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    build(photos, out)
    (out / "notes.txt").write_text("precious")
    build(photos, out, options=freqcache.BuildOptions(seed=1), overwrite=True)
    assert (out / "notes.txt").read_text() == "precious"
    assert freqcache.open(out).metadata.options["seed"] == 1


def test_a_crash_before_the_state_is_written_is_no_obstacle(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out.zarr" / ".build").mkdir(parents=True)
    (tmp_path / "out.zarr" / ".build" / "lock").write_text("")
    build(photos, tmp_path / "out.zarr")
    assert len(freqcache.open(tmp_path / "out.zarr")["train"]) == 4


def test_a_crash_after_the_root_is_written_leaves_a_complete_store(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    build(photos, out)
    (out / ".build").mkdir()
    (out / ".build" / "state.json").write_text(json.dumps({"format": "freqcache-build", "fingerprint": "x"}))
    assert len(freqcache.open(out)["train"]) == 4
    with pytest.raises(BuildError, match="exists and is complete"):
        build(photos, out)
    assert not (out / ".build").exists()


@pytest.mark.parametrize("fault", ["record cut", "shard gone", "shard cut"])
def test_damaged_records_and_shards_are_made_again(
    photos: Path, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.zarr"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("freqcache.building.run.write_split", stop)
        with pytest.raises(KeyboardInterrupt):
            build(photos, out)
    record = out / ".build" / "train-000000.npz"
    shard = out / "train" / "y" / "c" / "0" / "0"
    if fault == "record cut":
        record.write_bytes(record.read_bytes()[:100])
    elif fault == "shard cut":
        shard.write_bytes(shard.read_bytes()[:-1])
    else:
        shard.unlink()
    report = freqcache.build(photos, out, workers=1, quiet=True)
    assert report.n_resumed == 1
    mask = freqcache.ChannelMask.load("all")
    for split in ("train", "val"):
        assert len(freqcache.open(out)[split].read([0, 1, 2, 3], mask)) == 4


def test_an_identical_unfinished_build_is_finished_even_with_overwrite(photos: Path, tmp_path: Path) -> None:
    with Journal(LocalTarget(tmp_path / "out.zarr"), "same", overwrite=True) as journal:
        journal.store.write(journal.record("train", 0), b"kept")
    with Journal(LocalTarget(tmp_path / "out.zarr"), "same", overwrite=True) as journal:
        assert journal.store.exists(journal.record("train", 0))
    with Journal(LocalTarget(tmp_path / "out.zarr"), "other", overwrite=True) as journal:
        assert not journal.store.exists(journal.record("train", 0))


def test_a_replacement_that_was_stopped_while_it_removed_the_old_store_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of the old store is no store and must be known as a build's all the same."""
    out, options = tmp_path / "out.zarr", freqcache.BuildOptions(size=48)
    build(photos, out)
    (out / "notes.txt").write_text("precious")

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("freqcache.store.targets.shutil.rmtree", stop)
        with pytest.raises(KeyboardInterrupt):
            build(photos, out, options=options, overwrite=True)
    assert (out / "train" / "y").exists()
    build(photos, out, options=options, overwrite=True)
    assert freqcache.open(out).kind == "fixed"
    assert not (out / "train" / "y").exists()
    assert (out / "notes.txt").read_text() == "precious"


def test_shards_of_another_layout_are_cleared(tmp_path: Path) -> None:
    with Journal(LocalTarget(tmp_path / "out.zarr"), "same", overwrite=False) as journal:
        journal.keep_shards_of("one")
        journal.store.write(journal.record("train", 0), b"kept")
        journal.store.write("train/y/c/0/0", b"shard")
    with Journal(LocalTarget(tmp_path / "out.zarr"), "same", overwrite=False) as journal:
        journal.keep_shards_of("one")
        assert journal.store.exists(journal.record("train", 0))
        journal.keep_shards_of("two")
        assert not journal.store.exists(journal.record("train", 0))
        assert "train" not in journal.store.names()
    with Journal(LocalTarget(tmp_path / "out.zarr"), "same", overwrite=False) as journal:
        assert not journal.store.exists(journal.record("train", 0))


def test_temporary_files_of_killed_runs_make_place_at_once(tmp_path: Path) -> None:
    names = ("train/y/c/0/0.77.partial", "zarr.json.77.partial", ".build/train-000000.npz.77.partial")
    with Journal(LocalTarget(tmp_path / "out.zarr"), "same", overwrite=False) as journal:
        for name in names:
            journal.store.write(name, b"half", lasting=False)
    with Journal(LocalTarget(tmp_path / "out.zarr"), "same", overwrite=False) as journal:
        assert not any(journal.store.exists(name) for name in names)


def test_places_that_touch_the_source_are_refused(photos: Path, tmp_path: Path) -> None:
    copy = tmp_path / "photos"
    shutil.copytree(photos, copy)
    for out in (copy, copy / "out.zarr", tmp_path):
        with pytest.raises(BuildError, match="its own source"):
            build(copy, out, overwrite=True)
    with pytest.raises(BuildError, match="empty name"):
        freqcache.build(copy, "", workers=1)


def test_a_link_is_followed(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link.zarr").symlink_to(tmp_path / "real.zarr")
    build(photos, tmp_path / "link.zarr")
    assert freqcache.open(tmp_path / "real.zarr").id == freqcache.open(tmp_path / "link.zarr").id


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    """Whatever bit of it is flipped: its shard is made again, unless the flip changes nothing that counts."""
    task = ShardTask(
        source=FileSource(reader=FolderReader(root=tmp_path), options=BuildOptions()),
        store=LocalTarget(tmp_path),
        record="train-000000.npz",
        split="train",
        number=0,
        groups=(),
        arrays={},
        form=StoreForm.of_build(BuildOptions()),
    )
    files = {"shard_digest": np.zeros((0, 16), dtype=np.uint8), "shard_bytes": np.zeros(0, dtype=np.int64)}
    record = ShardRecord(samples={}, statistics=np.zeros((9, 192)), files=files, failures=(), saturated=0)
    record.write(task.store, task.record)
    assert is_done(task)
    content = (tmp_path / task.record).read_bytes()
    results = set()
    for position in [*range(200), *range(len(content) - 400, len(content))]:
        for bit in range(8):
            hurt = bytearray(content)
            hurt[position] ^= 1 << bit
            (tmp_path / task.record).write_bytes(hurt)
            results.add(is_done(task))
    assert False in results


def test_a_store_that_was_completed_meanwhile_is_not_replaced(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another build ends between this one's look at the place and its lock."""
    out, real = tmp_path / "out.zarr", Journal._acquire

    def late(journal: Journal) -> None:
        monkeypatch.undo()
        build(photos, out)
        real(journal)

    monkeypatch.setattr(Journal, "_acquire", late)
    with pytest.raises(BuildError, match="exists and is complete; --overwrite replaces it"):
        build(photos, out, options=freqcache.BuildOptions(size=48))
    assert freqcache.open(out).kind == "native"
    assert not (out / ".build").exists()
