"""Checkpoints: atomic, loaded without executing anything, and clear about damage."""

from __future__ import annotations

import pickle

import pytest
import torch

from freqcache.errors import TrainingError
from freqcache.training import checkpoint
from freqcache.training.checkpoint import load_checkpoint, save_checkpoint


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"model": {"fc.weight": torch.arange(6.0)}, "gate": None, "history": [{"epoch": 1}]})
    found = load_checkpoint(path)
    assert torch.equal(found["model"]["fc.weight"], torch.arange(6.0))
    assert found["gate"] is None
    assert found["history"] == [{"epoch": 1}]
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"epoch": 1})

    def disk_full(document, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", disk_full)
    with pytest.raises(TrainingError, match=r"cannot write the checkpoint.*No space left"):
        save_checkpoint(path, {"epoch": 2})
    assert load_checkpoint(path)["epoch"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


class _Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a checkpoint was executed",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such checkpoint"),
        (b"", "not a readable checkpoint"),
        (b"PK\x03\x04 not a zip", "not a readable checkpoint"),
        (b"hello, world\n" * 50, "not a readable checkpoint"),
        (pickle.dumps(_Bomb(), protocol=2), "not a readable checkpoint"),
    ],
)
def test_damaged_files_are_one_clear_line(tmp_path, content, words):
    path = tmp_path / "checkpoint.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match=words) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truncated_checkpoints_are_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"model": {"w": torch.zeros(1000)}})
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(TrainingError, match="not a readable checkpoint"):
            load_checkpoint(path)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"weights": torch.zeros(2)}, "not a freqcache checkpoint"),
        ({"format": "freqcache-checkpoint", "version": 7}, "version 7, expected 2"),
    ],
)
def test_foreign_files_are_refused(tmp_path, document, words):
    torch.save(document, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match=words):
        load_checkpoint(tmp_path / "checkpoint.pt")


def test_a_flipped_bit_of_a_weight_is_found(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"model": {"fc.weight": torch.full((64,), 1.5)}})
    content = bytearray(path.read_bytes())
    at = content.index(torch.full((64,), 1.5).numpy().tobytes())
    content[at + 3] ^= 0x20
    path.write_bytes(bytes(content))
    with pytest.raises(TrainingError, match="fails its checksum"):
        load_checkpoint(path)
