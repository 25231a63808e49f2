"""Rewrites that are ended early, damaged or aimed at the wrong place; and the words of the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import freqcache
from freqcache.building import making
from freqcache.errors import BuildError, StoreError
from freqcache.rewriting import Selection, merge, repack, run, subset
from freqcache.store.encoding import ChunkEncoder
from freqcache_cli.main import main

QUIET: dict[str, Any] = {"workers": 1, "quiet": True}


def tree(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def stopping(real: Callable[..., Any], after: int) -> Callable[..., Any]:
    """Return a function that is interrupted at its call number `after`."""
    calls = []

    def call(*arguments: Any, **keywords: Any) -> Any:
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return real(*arguments, **keywords)

    return call


@pytest.mark.parametrize(
    ("module", "name", "after", "resumed"),
    [
        (making, "build_shard", 2, 2),
        (run, "write_split", 1, 4),
        (run, "compare_shard", 1, 4),
        (run, "write_root", 0, 4),
    ],
)
def test_an_interrupted_rewrite_goes_on(
    stores: Path, tmp_path: Path, module: Any, name: str, after: int, resumed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = stores / "int8.zarr", tmp_path / "out"
    repack(source, tmp_path / "whole", channels="6", **QUIET)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, stopping(getattr(module, name), after))
        with pytest.raises(KeyboardInterrupt):
            repack(source, out, channels="6", **QUIET)
    with pytest.raises(StoreError, match="did not finish"):
        freqcache.open(out)
    with pytest.raises(BuildError, match="holds an unfinished build"):
        repack(source, out, channels="24", **QUIET)
    report = repack(source, out, channels="6", **QUIET)
    assert (report.n_resumed, report.n_compared) == (resumed, 36)
    assert tree(out) == tree(tmp_path / "whole")


def test_what_reads_otherwise_never_becomes_a_store(
    stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codec that loses a bit, with every checksum right: only the comparison can know."""
    real, done = ChunkEncoder.encode, []

    def losing(self: ChunkEncoder, chunks: Any) -> Any:
        if not done:
            chunks[3, 0, 1, 1] += 1
        done.append(1)
        return real(self, chunks)

    with monkeypatch.context() as patch:
        patch.setattr(ChunkEncoder, "encode", losing)
        with pytest.raises(BuildError, match=r"slot 0 of train, train/.* differs from its source in coefficients"):
            repack(stores / "int8.zarr", tmp_path / "out", **QUIET)
    with pytest.raises(StoreError, match="did not finish"):
        freqcache.open(tmp_path / "out")
    report = repack(stores / "int8.zarr", tmp_path / "out", **QUIET)
    assert (report.n_resumed, report.id) == (3, freqcache.open(stores / "int8.zarr").id)


@pytest.mark.parametrize("kind", ["native", "int8"])
def test_a_damaged_chunk_ends_the_rewrite(stores: Path, kind: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(stores / f"{kind}.zarr", copy)
    shard = copy / "val" / ("y/c/0/0" if kind == "native" else "coefficients/c/0/0/0/0")
    sound = shard.read_bytes()
    shard.write_bytes(sound[:40] + bytes([sound[40] ^ 1]) + sound[41:])
    with pytest.raises(StoreError, match=r"copy/val/.*chunk of channel 0, row group 0.*needed for slot \d+, val/"):
        repack(copy, tmp_path / "out", **QUIET)
    with pytest.raises(StoreError, match="did not finish"):
        freqcache.open(tmp_path / "out")
    shard.write_bytes(sound)
    assert repack(copy, tmp_path / "out", **QUIET).id == freqcache.open(copy).id


def test_places_that_would_touch_a_source(stores: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(stores / "int8.zarr", copy)
    before = tree(copy)
    for out, words in (
        (copy, "would replace its own source"),
        (tmp_path, "would replace its own source"),
        (copy / "train" / "out", "lies inside its own source"),
    ):
        with pytest.raises(BuildError, match=words):
            repack(copy, out, overwrite=True, **QUIET)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "letter.txt").write_text("mine")
    with pytest.raises(BuildError, match="is not a freqcache store; it is left alone"):
        repack(copy, tmp_path / "foreign", overwrite=True, **QUIET)
    with pytest.raises(StoreError):
        repack(tmp_path / "foreign", tmp_path / "out", **QUIET)
    assert tree(copy) == before
    repack(copy, tmp_path / "out", **QUIET)
    with pytest.raises(BuildError, match="exists and is complete; --overwrite replaces it"):
        subset(copy, tmp_path / "out", Selection(classes=("ant",)), **QUIET)
    subset(copy, tmp_path / "out", Selection(classes=("ant",)), overwrite=True, **QUIET)
    assert freqcache.open(tmp_path / "out").classes == ("ant",)


def test_splits_of_other_names_are_made_and_replaced(stores: Path, tmp_path: Path) -> None:
    """Another writer may name a split ``fold-1``."""
    foreign = tmp_path / "foreign"
    shutil.copytree(stores / "int8.zarr", foreign)
    (foreign / "val").rename(foreign / "fold-1")
    document = json.loads((foreign / "zarr.json").read_text())
    document["attributes"]["freqcache"]["splits"] = ["fold-1", "train"]
    (foreign / "zarr.json").write_text(json.dumps(document))
    report = repack(foreign, tmp_path / "out", **QUIET)
    assert list(report.splits) == ["fold-1", "train"]
    repack(foreign, tmp_path / "out", channels="6", overwrite=True, **QUIET)
    split = freqcache.open(tmp_path / "out")["fold-1"]
    assert split.read(split.slots, freqcache.ChannelMask.preset("6")).shape[1] == 6


def test_words(stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(stores / "absent.zarr")
    assert main(["subset", source, str(tmp_path / "bees"), "--classes", "bee", "--workers", "1"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"{tmp_path / 'bees'}: 18 images in 1 classes (train 9, val 9)"
    assert shown[1:3] == ["  labels   0 bee", "  channels 192"]
    assert shown[4] == "  compared 18 images were read again, and are equal to their sources"
    assert shown[-1] == "  absent   2 slots without a sample were dropped"
    (tmp_path / "ant.txt").write_text("ant\n")
    options = ["--classes-file", str(tmp_path / "ant.txt"), "--split", "val", "-q", "--workers", "1"]
    assert main(["subset", source, str(tmp_path / "ants"), *options]) == 0
    assert (
        main(["merge", str(tmp_path / "bees"), str(tmp_path / "ants"), str(tmp_path / "out"), "-q", "--workers", "1"])
        == 0
    )
    assert freqcache.open(tmp_path / "out").classes == ("ant", "bee")
    assert main(["repack", str(tmp_path / "out"), str(tmp_path / "re"), "--channels", "6", "-q", "--workers", "1"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["subset", "{int8}", "{out}"], 2, "say what to keep"),
        (["subset", "{int8}", "{out}", "--classes", "ant", "--classes-file", "x"], 2, "give one"),
        (["subset", "{int8}", "{out}", "--keep-labels", "--split", "val"], 2, "--keep-labels is for --classes"),
        (["subset", "{int8}", "{out}", "--samples", "{out}.txt"], 2, "cannot be read: No such file"),
        (["subset", "{int8}", "{out}", "--classes", "ant,bea"], 1, "no class 'bea'; did you mean bee?"),
        (["repack", "{int8}", "{out}", "--seed", "1"], 2, "--seed is of --shuffle"),
        (["repack", "{int8}", "{out}", "--level", "12"], 2, "--level"),
        (["repack", "{int8}", "{out}", "--channels", "25"], 2, "no preset of that name"),
        (["repack", "{out}", "{out}-2"], 1, "no such store"),
        (["repack", "{empty}", "{out}"], 1, "empty"),
        (["merge", "{int8}", "{out}"], 2, "at least two caches"),
        (["merge", "{int8}", "{native}", "{out}"], 1, "one is fixed, the other native"),
        (["merge", "{int8}", "{int8}", "{out}"], 1, "the same file, by the digests"),
    ],
)
def test_wrong_use_is_one_line(
    stores: Path, tmp_path: Path, arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    places = {name: stores / f"{name}.zarr" for name in ("int8", "native")}
    places |= {"out": tmp_path / "out", "empty": tmp_path / "empty"}
    assert main([argument.format(**places) for argument in arguments]) == status
    shown = capsys.readouterr().err
    assert words in shown
    assert status == 2 or len(shown.splitlines()) == 1, shown
    assert not (tmp_path / "out").exists()


def test_a_level_and_workers_out_of_range(stores: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"level: expected 1\.\.9, found 0"):
        repack(stores / "int8.zarr", tmp_path / "out", level=0, **QUIET)
    with pytest.raises(BuildError, match="workers: expected at least 1"):
        repack(stores / "int8.zarr", tmp_path / "out", workers=0)
    with pytest.raises(BuildError, match="limit_per_class: expected at least 1"):
        Selection(limit_per_class=0)


def test_steps_that_differ_cannot_be_merged(stores: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subset(stores / "int8.zarr", other, Selection(classes=("ant",)), **QUIET)
    for split in ("train", "val"):
        steps: Any = zarr.open_array(other / split / "quantization", mode="r+")
        steps[...] = np.asarray(steps[...]) * 2
    with pytest.raises(StoreError, match="other quantization steps"):
        merge([stores / "int8.zarr", other], tmp_path / "out", **QUIET)
