"""The committed example stores: the checker's verdicts, the reader's, and the schemas'. They are never made here."""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import freqcache
from freqcache.errors import FreqcacheError
from freqcache.store import FixedSplit

CONFORMANCE = Path(__file__).resolve().parents[2] / "formats" / "v1" / "conformance"
sys.path.insert(0, str(CONFORMANCE))

from check import check_store, main  # noqa: E402
from dump import dump_store  # noqa: E402
from examples import assemble, manifest, valid_store  # noqa: E402
from run import differences  # noqa: E402
from run import main as run  # noqa: E402
from shard_files import crc32c  # noqa: E402

VALID: dict[str, Any] = manifest()["valid"]
INVALID: dict[str, Any] = manifest()["invalid"]

UNSEEN = {
    "creator-changed": "a reader needs no metadata but what it checks anyway",
    "statistics-rounded": "a reader needs no metadata but what it checks anyway",
    "level-changed": "a reader needs no metadata but what it checks anyway",
    "digest-of-others": "a reader needs no metadata but what it checks anyway",
    "statistics-wrong": "comparing statistics would mean reading every coefficient",
    "wrong-fill": "no fill value is ever used, so none is read",
    "digest-wrong": "digests are of whole shards; a reader checks the chunks that it reads",
    "fill-coded": "every value would have to be looked at",
    "origin-unknown": "origins other than absent are handed on",
    "offset-overlaps": "every sample reads as its own blocks",
    "blocks-wrong": "the grid is what `blocks` says; the pixels are for cropping",
    "step-zero": "steps are handed on",
    "row-groups-falling": "only iteration by row group needs it",
    "row-groups-short": "only iteration by row group needs it",
    "source-path": "paths are for people",
}
"""Invalid examples that freqcache may read without an error, and why."""


def read_everything(store: Path) -> dict[str, Any]:
    """Return the canonical dump of a store, read with freqcache alone."""
    opened = freqcache.open(store)
    dump: dict[str, Any] = {"kind": opened.kind, "splits": {}}
    everything = opened.channels
    for name in opened.splits:
        split = opened[name]
        channels: list[list[Any]] = [[] for _ in everything.channels]
        if isinstance(split, FixedSplit):
            steps = split.quantization[everything.indices].astype(np.float64)
            dense = split.read(split.slots, everything) * steps[:, None, None]
            channels = [[dense[:, channel].ravel()] for channel in range(len(everything))]
        else:
            for sample in split.read(split.slots, everything):
                planes = [
                    plane.ravel() * float(step)
                    for c in range(3)
                    for plane, step in zip(sample.coefficients[c], sample.quantization[c], strict=True)
                ]
                for channel, plane in zip(channels, planes, strict=True):
                    channel.append(plane)
        joined = [np.concatenate(parts) for parts in channels]
        dump["splits"][name] = {
            "labels": split.labels[split.slots].tolist(),
            "sums": [values.sum() for values in joined],
            "digests": [hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()[:8] for values in joined],
        }
    return dump


def attributes(path: Path) -> Any:
    return json.loads((path / "zarr.json").read_text())["attributes"]["freqcache"]


def schema(name: str) -> Any:
    return json.loads((files("freqcache_formats") / "schemas" / name).read_text())


def test_the_corpus_is_there() -> None:
    assert len(VALID) >= 4
    assert len(INVALID) >= 30
    assert {path.name for path in (CONFORMANCE / "valid").iterdir()} == set(VALID)
    assert {path.name for path in (CONFORMANCE / "invalid").iterdir()} <= set(INVALID)
    stores = [path for folder in ("valid", "invalid") for path in (CONFORMANCE / folder).rglob("*")]
    assert 0 < sum(path.stat().st_size for path in stores if path.is_file()) < 300_000
    assert set(UNSEEN) <= set(INVALID)


def test_crc32c_check_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, and every catalogue of CRCs


@pytest.mark.parametrize("name", VALID)
def test_valid_stores_pass_and_read_as_they_did(name: str) -> None:
    store = valid_store(name)
    assert check_store(store) == []
    assert differences(VALID[name]["dump"], dump_store(store)) == []
    assert differences(VALID[name]["dump"], read_everything(store)) == []


@pytest.mark.parametrize("name", INVALID)
def test_the_checker_finds_the_one_fault(name: str, tmp_path: Path) -> None:
    found = check_store(assemble(name, tmp_path / "store"))
    assert sorted({problem.kind for problem in found}) == INVALID[name]["kinds"], found


@pytest.mark.parametrize("name", INVALID)
def test_reader_refuses_what_it_can_notice(name: str, tmp_path: Path) -> None:
    store = assemble(name, tmp_path / "store")
    if name not in UNSEEN:
        with pytest.raises(FreqcacheError):
            read_everything(store)
        return
    assert INVALID[name]["reader"] != "must"
    with suppress(FreqcacheError):  # a reader that notices more is welcome; any other exception fails
        read_everything(store)


@pytest.mark.parametrize("name", VALID)
def test_valid_stores_follow_the_schemas(name: str) -> None:
    store = valid_store(name)
    jsonschema.validate(attributes(store), schema("store.schema.json"))
    for split in attributes(store)["splits"]:
        jsonschema.validate(attributes(store / split), schema("split.schema.json"))


@pytest.mark.parametrize(
    ("name", "document", "group"),
    [
        ("unknown-major", "store.schema.json", ""),
        ("incomplete", "store.schema.json", ""),
        ("unknown-kind", "store.schema.json", ""),
        ("channels-none", "store.schema.json", ""),
        ("channels-repeated", "store.schema.json", ""),
    ],
)
def test_the_schemas_refuse_what_they_can_say(name: str, document: str, group: str, tmp_path: Path) -> None:
    store = assemble(name, tmp_path / "store")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(attributes(store / group), schema(document))


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(valid_store("fixed-int8"))]) == 0
    assert capsys.readouterr().out == ""
    assert main([str(assemble("chunk-missing", tmp_path / "store"))]) == 1
    expected = "train/cr/c/0/0: chunk of channel 5, row group 0: missing [chunk-missing]\n"
    assert capsys.readouterr().out == expected
    assert main([]) == 2


def test_the_runner_fails_a_reader_that_refuses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {
        "valid": {"native-grayscale": VALID["native-grayscale"]},
        "invalid": {name: INVALID[name] for name in ("incomplete", "sample-count")},
    }
    monkeypatch.setattr("run.manifest", lambda: short)
    (tmp_path / "good.json").write_text(json.dumps(VALID["native-grayscale"]["dump"]))
    reader = f"sh -c 'cat {tmp_path}/good.json'"
    assert run(["--reader", reader]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "FAILED", "unseen", "1"]
    assert run(["--reader", "false"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["FAILED", "ok", "ok", "1"]
