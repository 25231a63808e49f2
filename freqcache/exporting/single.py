"""One sample of a cache: as JPEG bytes, or as an image file of any kind that Pillow writes.

Pixels are those that libjpeg-turbo, through Pillow, decodes from the JPEG bytes: for an extracted sample, the same as
from its source file.
"""

from __future__ import annotations

import io
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, features

from freqcache.errors import ExportError
from freqcache.exporting.images import ImageReader, SampleImage, wanted_channels
from freqcache.pillow_files import pillow_warnings_hidden
from freqcache.store import Store, open_store
from freqcache.store.finding import find_slot
from freqcache_formats.layout import Origin
from freqcache_formats.mask import ChannelMask

ENDINGS: Final = {
    ".bmp": "BMP", ".jpeg": "JPEG", ".jpg": "JPEG", ".png": "PNG", ".ppm": "PPM", ".tif": "TIFF", ".tiff": "TIFF",
    ".webp": "WEBP",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SavedSample:
    """What was saved.

    Attributes
    ----------
    path : Path
        The file.
    width, height : int
        Pixels.
    split : str
        Where the sample was found.
    slot : int
        Its slot.
    class_name, origin, source_path : str
        What the cache says of it.
    """

    path: Path
    width: int
    height: int
    split: str
    slot: int
    class_name: str
    origin: str
    source_path: str


def to_jpeg(
    store: str | Path | Store, sample: int | str, *, split: str | None = None, channels: ChannelMask | str = "all"
) -> bytes:
    """Return one sample of a cache as the bytes of a JPEG file.

    A native sample has the cache's own integers, tables and sampling: for an extracted one, those of its source file. A
    fixed sample's steps become whole numbers by the rule of :mod:`freqcache.exporting.steps`.

    Parameters
    ----------
    store : Store or path
        The cache.
    sample : int or str
        A slot, or a source path or the end of one: see :mod:`freqcache.store.finding`.
    split : str, optional
        Needed for a slot where there are several splits.
    channels : ChannelMask, preset name or path of a mask.json
        Channels to take; the others are zero.

    Raises
    ------
    ExportError
        If a JPEG file cannot hold the sample.
    StoreError, MaskError
        If the cache or the mask cannot be read, or there is no such sample.
    """
    opened = store if isinstance(store, Store) else open_store(store)
    name, slot = find_slot(opened, sample, split)
    return _encoded(_image(opened, name, slot, channels), opened, name, slot)


def save_sample(
    store: str | Path | Store,
    sample: int | str,
    out: str | Path,
    *,
    split: str | None = None,
    channels: ChannelMask | str = "all",
) -> SavedSample:
    """Write one sample of a cache as an image file; what stands at `out` is replaced.

    A JPEG file holds the coefficients themselves, as :func:`to_jpeg` gives them. Other files hold the pixels that
    libjpeg-turbo decodes from it; an EXIF orientation that the build left unapplied stays unapplied.

    Parameters
    ----------
    store, sample, split, channels
        As for :func:`to_jpeg`.
    out : path
        Its ending says the format: .png, .jpg, .ppm, .webp, .bmp or .tif.

    Raises
    ------
    ExportError
        If the format cannot hold the sample, or the file cannot be written.
    StoreError, MaskError
        If the cache or the mask cannot be read, or there is no such sample.
    """
    out = Path(out)
    kind = ENDINGS.get(out.suffix.lower())
    if kind is None:
        msg = f"{out}: unknown kind of image; expected a name with one of {', '.join(ENDINGS)}"
        raise ExportError(msg)
    if kind == "WEBP" and not features.check("webp"):
        msg = f"{out}: this Pillow was built without WebP"
        raise ExportError(msg)
    opened = store if isinstance(store, Store) else open_store(store)
    name, slot = find_slot(opened, sample, split)
    image = _image(opened, name, slot, channels)
    data = _encoded(image, opened, name, slot)
    _write(out, data if kind == "JPEG" else _converted(data, kind, out))
    values = opened[name]
    return SavedSample(
        path=out,
        width=image.width,
        height=image.height,
        split=name,
        slot=slot,
        class_name=values.classes[int(values.labels[slot])],
        origin=Origin(int(values.values("origin")[slot])).name.lower(),
        source_path=values.source_path(slot),
    )


def _image(store: Store, split: str, slot: int, channels: ChannelMask | str) -> SampleImage:
    (image,) = ImageReader(store, split, wanted_channels(store, channels)).read([slot])
    return image


def _encoded(image: SampleImage, store: Store, split: str, slot: int) -> bytes:
    try:
        return image.encode()
    except ExportError as error:
        msg = f"{store.location}: {split}, slot {slot}, {store[split].source_path(slot)}: {error}"
        raise ExportError(msg) from error


def _converted(data: bytes, kind: str, out: Path) -> bytes:
    buffer = io.BytesIO()
    try:
        with pillow_warnings_hidden, Image.open(io.BytesIO(data)) as image:
            image.save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        msg = f"{out}: Pillow cannot make it: {error}"
        raise ExportError(msg) from error
    return buffer.getvalue()


def _write(out: Path, data: bytes) -> None:
    """Put the whole file at its place, or leave there what was."""
    partial = out.with_name(f".freqcache-{os.getpid()}-{threading.get_ident()}.partial")  # threads write side by side
    try:
        partial.write_bytes(data)
        partial.replace(out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        msg = f"{out}: cannot be written: {error.strerror}"
        raise ExportError(msg) from error
