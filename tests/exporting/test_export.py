"""Exported folders: the originals' coefficients by others' readers, names, masks, resuming, and what is refused."""

from __future__ import annotations

import io
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from exporting.roundtrip import Comparison, compare, linked
from photographs import encoded
from PIL import Image
from scipy.fft import idctn

import freqcache
from freqcache import BuildOptions, ChannelMask
from freqcache.errors import ExportError, MaskError, StoreError
from freqcache.exporting import ExportIncompleteError, export_jpegs, to_jpeg
from freqcache.exporting import folder as exporting_folder
from freqcache.exporting.steps import whole_steps
from freqcache.exporting.writing import WORK_FOLDER
from freqcache.jpeg import read_coefficients
from freqcache.quantization import fixed_steps
from freqcache.store import FixedSplit
from freqcache_formats.channels import NATURAL_TO_ZIGZAG
from tests.exporting.conftest import WHOLE
from tests.jpeg import encoder

Caches = Callable[[str], Path]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_extracted_sample_is_its_original(photos: Path, caches: Caches, tmp_path: Path) -> None:
    """By jpeglib or libjpeg-turbo, and by Pillow's pixels; turned ones by exif_transpose."""
    report = export_jpegs(caches("native"), tmp_path / "out", workers=1, quiet=True)
    comparison = Comparison()
    compare(freqcache.open(caches("native")), photos, tmp_path / "out", comparison)
    assert comparison.differences == []
    assert comparison.outcomes["coefficients by jpeglib: same"] >= 20
    assert comparison.outcomes["turned: the cache's integers by jpeglib: same"] == 2
    assert comparison.outcomes["not extracted: not compared with an original"] == report.origins["computed"].files == 8
    assert report.n_files == report.n_written == len(tree(tmp_path / "out"))
    assert report.bytes == sum(map(len, tree(tmp_path / "out").values()))


def test_shared_photographs(shared_data: Path, tmp_path: Path) -> None:
    """A few dozen of the edge cases beside the checkout; all of them are for roundtrip.py."""
    source = linked(shared_data / "corpus", "valid-[0-3]*.jpg", tmp_path)
    freqcache.build(source, tmp_path / "native.zarr", BuildOptions(extraction=WHOLE), workers=1, quiet=True)
    export_jpegs(tmp_path / "native.zarr", tmp_path / "out", workers=1, quiet=True)
    comparison = Comparison()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # about broken MPO and EXIF metadata of the originals
        compare(freqcache.open(tmp_path / "native.zarr"), source, tmp_path / "out", comparison)
    assert comparison.differences == []
    assert comparison.outcomes["coefficients by jpeglib: same"] >= 24


def test_names_are_the_sources(photos: Path, caches: Caches, tmp_path: Path) -> None:
    export_jpegs(caches("native"), tmp_path, workers=1, quiet=True)
    there = {str(p.relative_to(photos)) for p in photos.rglob("*") if p.is_file()}
    names = set(tree(tmp_path))
    assert {n for n in there if n.endswith(".jpg")} - names == {"train/bee/cut.jpg"}
    others = sorted(names - there)
    assert [n for n in others if "slot" not in n] == ["train/ant/4.png.jpg", "val/ant/4.png.jpg", "val/bee/4.png.jpg"]
    assert len([n for n in others if n.startswith("train/bee/4.png-slot")]) == 1


def test_the_folder_is_a_source_of_the_same_cache(caches: Caches, tmp_path: Path) -> None:
    export_jpegs(caches("native"), tmp_path / "out", workers=1, quiet=True)
    options = BuildOptions(extraction=WHOLE, shuffle=False)
    freqcache.build(tmp_path / "out", tmp_path / "again.zarr", options, workers=1, quiet=True)
    first, again = freqcache.open(caches("native")), freqcache.open(tmp_path / "again.zarr")
    assert (again.splits, again.classes) == (first.splits, first.classes)
    for name in first.splits:
        for statistic, values in first[name].statistics.to_dict().items():
            np.testing.assert_allclose(getattr(again[name].statistics, statistic), values, rtol=1e-9, atol=1e-9)


def test_the_bytes_do_not_depend_on_the_workers(caches: Caches, tmp_path: Path) -> None:
    export_jpegs(caches("native"), tmp_path / "one", workers=1, quiet=True)
    export_jpegs(caches("native"), tmp_path / "two", workers=2, quiet=True, verify=False)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_a_second_run_writes_what_is_missing_alone(caches: Caches, tmp_path: Path) -> None:
    export_jpegs(caches("native"), tmp_path, workers=1, quiet=True)
    before = tree(tmp_path)
    gone = sorted(tmp_path.rglob("*.jpg"))[:3]
    for path in gone:
        path.unlink()
    (tmp_path / WORK_FOLDER).mkdir()  # as a run that was killed leaves it
    (tmp_path / WORK_FOLDER / "1.partial").write_bytes(b"half")
    report = export_jpegs(caches("native"), tmp_path, workers=1, quiet=True)
    assert (report.n_written, report.n_kept) == (3, len(before) - 3)
    assert tree(tmp_path) == before


def test_other_files_stay_unless_asked(caches: Caches, tmp_path: Path) -> None:
    whole = export_jpegs(caches("native"), tmp_path / "whole", workers=1, quiet=True)
    target = tmp_path / "out" / "train" / "ant" / "0.jpg"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"somebody's")
    with pytest.raises(ExportIncompleteError, match=r"train/ant/0.jpg: not written: .* --overwrite") as caught:
        export_jpegs(caches("native"), tmp_path / "out", workers=1, quiet=True)
    assert caught.value.report.n_files == whole.n_files - 1
    assert target.read_bytes() == b"somebody's"
    export_jpegs(caches("native"), tmp_path / "out", workers=1, quiet=True, overwrite=True)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_originals_are_never_replaced(photos: Path, caches: Caches, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    before = tree(tmp_path / "photos")
    with pytest.raises(ExportIncompleteError, match="never replaced; so are"):
        export_jpegs(caches("native"), tmp_path / "photos", workers=1, quiet=True, overwrite=True)
    after = tree(tmp_path / "photos")
    assert {name: after[name] for name in before} == before


def test_links_do_not_lead_out(caches: Caches, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "train").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExportIncompleteError, match="link that leads out"):
        export_jpegs(caches("native"), tmp_path / "out", split="train", workers=1, quiet=True)
    assert tree(tmp_path / "elsewhere") == {}


def test_a_masked_export_has_the_channels_and_zeros(caches: Caches, tmp_path: Path) -> None:
    mask = ChannelMask.load("24")
    report = export_jpegs(caches("native"), tmp_path, channels="24", split="val", workers=1, quiet=True)
    assert (report.channels, report.stored_channels) == (24, 192)
    store = freqcache.open(caches("native"))
    for slot in store["val"].slots:
        image = read_coefficients(to_jpeg(store, int(slot), split="val", channels="24"))
        (sample,) = store["val"].read([slot], ChannelMask.load("all"))
        for part, whole, wanted in zip(image.components, sample.coefficients, mask.frequencies, strict=False):
            np.testing.assert_array_equal(part.coefficients[wanted], whole[wanted])
            assert not np.delete(part.coefficients, wanted, axis=0).any()


def test_steps_of_channels_that_are_not_taken_do_not_matter(caches: Caches, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that does not hold them says NaN."""
    store, mask = freqcache.open(caches("int8")), ChannelMask.load("24")
    wanted = to_jpeg(store, 0, split="val", channels=mask)
    steps = np.full(192, np.nan, dtype=np.float32)
    steps[mask.indices] = fixed_steps()[mask.indices]
    monkeypatch.setattr(FixedSplit, "quantization", steps)
    assert to_jpeg(store, 0, split="val", channels=mask) == wanted


def test_kept_orientation_is_written(caches: Caches, photos: Path) -> None:
    for kind, value in (("kept", 6), ("native", 1)):
        data = to_jpeg(caches(kind), "train/bee/turned.jpg")
        with Image.open(io.BytesIO(data)) as image, Image.open(photos / "train/bee/turned.jpg") as original:
            assert image.getexif().get(274, 1) == value
            assert image.size == (original.size if kind == "kept" else original.size[::-1])


@pytest.mark.parametrize("kind", ["reduced", "int8", "int16"])
def test_other_caches_read_back_by_libjpeg_to_their_own_values(caches: Caches, tmp_path: Path, kind: str) -> None:
    """Luma by Pillow is the inverse DCT, by scipy, of the cache's dequantized coefficients."""
    store = freqcache.open(caches(kind))
    export_jpegs(caches(kind), tmp_path, workers=1, quiet=True)
    split = store["train"]
    for slot in split.slots[:12].tolist():
        with Image.open(io.BytesIO(to_jpeg(store, slot, split="train"))) as image:
            image.draft("YCbCr" if image.mode == "RGB" else "L", None)
            pixels = np.asarray(image).astype(float).reshape(image.height, image.width, -1)[..., 0]
        (sample,) = split.read([slot], ChannelMask.load("all"))
        if kind == "reduced":
            luma = sample.coefficients[0] * sample.quantization[0].astype(float)[:, None, None]
        else:
            luma = (sample * split.quantization[:, None, None])[:64]
        blocks = idctn(luma[NATURAL_TO_ZIGZAG].reshape(8, 8, *luma.shape[1:]), axes=(0, 1), norm="ortho") + 128
        plane = blocks.transpose(2, 0, 3, 1).reshape(8 * luma.shape[1], 8 * luma.shape[2])
        error = np.abs(np.clip(plane[: pixels.shape[0], : pixels.shape[1]], 0, 255) - pixels)
        assert error.max() <= (3 if kind == "int8" else 1.6)  # int8: 64 coefficients, each off by up to 1/2


def test_only_fixed_int8_files_are_rounded(caches: Caches, tmp_path: Path) -> None:
    reports = {k: export_jpegs(caches(k), tmp_path / k, workers=1, quiet=True) for k in ("reduced", "int8", "int16")}
    assert reports["int8"].n_rounded == reports["int8"].n_files
    assert reports["reduced"].n_rounded == reports["int16"].n_rounded == 0
    assert set(reports["int8"].origins) == {"reduced", "computed"}


def test_whole_steps_are_as_near_as_promised() -> None:
    rng = np.random.default_rng(0)
    steps = fixed_steps()[:64]
    quantized = rng.integers(-127, 128, (64, 6, 6)).astype(np.int8)
    planes, table, exact = whole_steps(quantized, steps)
    dequantized = quantized * steps[:, None, None].astype(np.float64)
    error = np.abs(planes * table[:, None, None].astype(np.float64) - dequantized).max(axis=(1, 2))
    assert not exact
    assert error[1:].max() <= 0.5 + 1e-4
    assert error[0] <= 1 + 1e-4
    assert (error[steps == np.rint(steps)] == 0).all()


def test_values_that_no_file_codes_get_coarser_steps() -> None:
    quantized = np.zeros((64, 2, 2), dtype=np.int16)
    quantized[0], quantized[1, 0, 0], quantized[2, 0, 0] = [[-1024, 1024], [5, 1016]], 3000, -1023
    planes, table, exact = whole_steps(quantized, np.ones(64, dtype=np.float32))
    assert not exact
    assert table[:3].tolist() == [1, 3, 1]
    assert (planes[1, 0, 0], planes[2, 0, 0], planes[0].tolist()) == (1000, -1023, [[-1024, 1023], [5, 1016]])


def test_selection(caches: Caches, tmp_path: Path) -> None:
    store = caches("native")
    bees = export_jpegs(store, tmp_path / "bees", classes=["bee"], split="val", workers=1, quiet=True)
    assert {Path(n).parent.as_posix() for n in tree(tmp_path / "bees")} == {"val/bee"}
    assert bees.splits == {"val": 7}
    export_jpegs(store, tmp_path / "two", samples=["val/ant/0.jpg", "train/bee/1.jpg"], workers=1, quiet=True)
    assert set(tree(tmp_path / "two")) == {"val/ant/0.jpg", "train/bee/1.jpg"}
    assert export_jpegs(store, tmp_path / "five", limit=5, workers=1, quiet=True).n_files == 5
    slots = export_jpegs(store, tmp_path / "slots", samples=[3, 1], split="val", workers=1, quiet=True)
    split = freqcache.open(store)["val"]
    assert slots.n_files == 2
    assert {n.removesuffix(".png.jpg") for n in tree(tmp_path / "slots")} == {
        split.source_path(slot).removesuffix(".png") for slot in (1, 3)
    }


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"split": "test"}, StoreError, "no split 'test'"),
        ({"classes": ["wasp"]}, ExportError, "no class 'wasp'; it has ant, bee"),
        ({"samples": [0]}, StoreError, "slots are numbered in each split"),
        ({"samples": [99999], "split": "val"}, StoreError, "no slot 99999; there are 0 to 13"),
        ({"samples": ["gone.jpg"]}, StoreError, "no sample of the source path 'gone.jpg'"),
        ({"samples": ["train/bee/cut.jpg"]}, StoreError, "train/bee/cut.jpg failed during the build"),
        ({"channels": "25"}, MaskError, "no preset"),
        ({"workers": 0}, ExportError, "at least 1"),
        ({"samples": ["val/ant/0.jpg"], "classes": ["bee"]}, ExportError, "no sample is left"),
    ],
)
def test_what_cannot_be_exported(caches: Caches, tmp_path: Path, options, error, message) -> None:
    with pytest.raises(error, match=message):
        export_jpegs(caches("native"), tmp_path / "out", quiet=True, **options)
    assert not (tmp_path / "out").exists()


def test_places_that_cannot_be_exported_to(caches: Caches, tmp_path: Path) -> None:
    store = caches("native")
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="is not a folder"):
        export_jpegs(store, tmp_path / "file", quiet=True)
    with pytest.raises(ExportError, match="lies inside the cache"):
        export_jpegs(store, store / "train", quiet=True)
    with pytest.raises(ExportError, match="Not a directory"):
        export_jpegs(store, tmp_path / "file" / "x", workers=1, quiet=True)


def test_a_zip_file_can_be_exported(caches: Caches, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "store.zarr"), "zip", caches("native"))
    options = {"samples": ["val/ant/0.jpg"], "quiet": True}
    export_jpegs(archive, tmp_path / "zip", workers=2, **options)
    export_jpegs(caches("native"), tmp_path / "folder", workers=1, **options)
    assert tree(tmp_path / "zip") == tree(tmp_path / "folder")


def test_a_library_user_gets_bytes(photos: Path, caches: Caches) -> None:
    data = freqcache.to_jpeg(freqcache.open(caches("native")), "val/bee/0.jpg")
    with Image.open(io.BytesIO(data)) as ours, Image.open(photos / "val/bee/0.jpg") as theirs:
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    with pytest.raises(StoreError, match="say which"):
        freqcache.to_jpeg(caches("native"), 0)


def test_a_sample_that_no_sequential_file_holds_is_named_and_the_others_are_written(tmp_path: Path) -> None:
    """In a progressive file, DC coefficients may differ by more than a sequential code can say."""
    planes = np.zeros((64, 1, 2), dtype=np.int16)
    planes[0] = [[1500, -1500]]
    scans = [
        encoder.ScanSpec(components=(0,), start=0, end=0, low=1),
        encoder.ScanSpec(components=(0,), start=1, end=63),
        encoder.ScanSpec(components=(0,), start=0, end=0, high=1),
    ]
    part = encoder.Component(identifier=1, h=1, v=1, coefficients=planes)
    folder = tmp_path / "photos" / "ant"
    folder.mkdir(parents=True)
    (folder / "wild.jpg").write_bytes(encoder.encode([part], 16, 8, scans, frame=0xC2))
    (folder / "tame.jpg").write_bytes(encoded(5, 30, 20, quality=70))
    freqcache.build(tmp_path / "photos", tmp_path / "out.zarr", workers=1, quiet=True)
    with pytest.raises(
        ExportIncompleteError, match=r"ant/wild.jpg: not written: Y, block \(0, 1\).*by -3000"
    ) as caught:
        export_jpegs(tmp_path / "out.zarr", tmp_path / "out", workers=1, quiet=True)
    assert set(tree(tmp_path / "out")) == {"ant/tame.jpg"}
    assert len(caught.value.report.refused) == 1
    with pytest.raises(ExportError, match=r"out.zarr: all, slot \d, ant/wild.jpg: Y, block"):
        to_jpeg(tmp_path / "out.zarr", "ant/wild.jpg")


def test_one_export_at_a_time(caches: Caches, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / WORK_FOLDER).mkdir()
    lock = os.open(tmp_path / WORK_FOLDER / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with pytest.raises(ExportError, match="another export is writing here"):
            export_jpegs(caches("native"), tmp_path, workers=1, quiet=True)
    finally:
        os.close(lock)


def test_what_reads_back_wrong_is_refused(caches: Caches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from freqcache.exporting import images

    good = images.write_coefficients

    def bad(components, **options):
        planes = components[0].coefficients.copy()
        planes[1] += 1
        changed = type(components[0])(**{**components[0].__dict__, "coefficients": planes})
        return good((changed, *components[1:]), **options)

    monkeypatch.setattr(images, "write_coefficients", bad)
    with pytest.raises(ExportIncompleteError, match="reads back as something else"):
        export_jpegs(caches("native"), tmp_path, limit=2, workers=1, quiet=True)
    assert tree(tmp_path) == {}


def test_names_are_made_task_by_task_and_outcomes_are_counted(
    caches: Caches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of an export does not grow with its samples, but for numbers in arrays."""
    made: list[int] = []
    real = exporting_folder.FileNames.of
    written: list[int] = []
    real_write = exporting_folder.write_group_files

    def noted(self: exporting_folder.FileNames, slot: int) -> str:
        made.append(slot)
        return real(self, slot)

    def counted(task):
        written.append(len(made))  # no names but those of this task and the ones before
        assert len(made) <= sum(sizes) + len(task.slots)
        sizes.append(len(task.slots))
        return real_write(task)

    sizes: list[int] = []
    monkeypatch.setattr(exporting_folder.FileNames, "of", noted)
    monkeypatch.setattr(exporting_folder, "write_group_files", counted)
    report = export_jpegs(caches("int8"), tmp_path / "out", workers=1, quiet=True)
    assert len(written) > 1
    assert report.n_files == len(made) == len(tree(tmp_path / "out"))
