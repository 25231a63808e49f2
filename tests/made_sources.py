"""Makes the kinds of sources that are no folders from a folder of images: tars, Parquet, saved datasets, manifests.

Each holds the files in the order in which a folder is listed, so that stores of them are comparable without shuffling.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import freqcache
from freqcache.sources.folder import list_folder


def images(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield split, class and path of each image."""
    tree = list_folder(folder)
    for split, files in tree.splits.items():
        for file in files:
            yield split, tree.classes[file.label], folder / file.path


def write_manifest(folder: Path, out: Path, *, delimiter: str = ",") -> Path:
    """Write a manifest with paths relative to its own folder where they can be, else absolute."""
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["path", "label", "split"])
        for split, name, path in images(folder):
            inside = path.is_relative_to(out.parent)
            writer.writerow([path.relative_to(out.parent) if inside else path, name, split])
    return out


def add_member(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a regular file to a tar."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def write_tar(out: Path, members: Sequence[tuple[str, bytes]], *, kind: int = tarfile.PAX_FORMAT) -> Path:
    """Write a tar of some members."""
    with tarfile.open(out, "w", format=kind) as archive:
        for name, data in members:
            add_member(archive, name, data)
    return out


def write_tars(folder: Path, out: Path, *, per_tar: int = 5, kind: int = tarfile.PAX_FORMAT) -> Path:
    """Write WebDataset tars ``train-000000.tar`` and so on, the class a name in ``.cls``."""
    out.mkdir(parents=True)
    listed = list(images(folder))
    for split in {split: None for split, *_ in listed}:
        mine = [(name, path) for s, name, path in listed if s == split]
        for number, start in enumerate(range(0, len(mine), per_tar)):
            members = []
            for key, (name, path) in enumerate(mine[start : start + per_tar], start):
                members += [(f"{key:06}{path.suffix}", path.read_bytes()), (f"{key:06}.cls", name.encode())]
            write_tar(out / f"{split}-{number:06}.tar", members, kind=kind)
    return out


def table_of(rows: Sequence[tuple[str, Path]], classes: Sequence[str] | None) -> object:
    """Return an Arrow table as ``datasets`` has it; labels are numbers with names, or the names themselves."""
    import pyarrow as pa

    image = pa.StructArray.from_arrays(
        [pa.array([p.read_bytes() for _, p in rows], pa.binary()), pa.array([p.name for _, p in rows])],
        ["bytes", "path"],
    )
    if classes is None:
        return pa.table({"image": image, "label": pa.array([name for name, _ in rows])})
    features = {"image": {"_type": "Image"}, "label": {"names": list(classes), "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    labels = pa.array([list(classes).index(name) for name, _ in rows], pa.int64())
    return pa.table({"image": image, "label": labels}).replace_schema_metadata(metadata)


def write_parquet(folder: Path, out: Path, *, named: bool = True, row_group_size: int = 3, **options: object) -> Path:
    """Write ``data/train-00000-of-00001.parquet`` and so on."""
    import pyarrow.parquet as pq

    (out / "data").mkdir(parents=True)
    listed = list(images(folder))
    classes = sorted({name for _, name, _ in listed}) if named else None
    for split in {split: None for split, *_ in listed}:
        table = table_of([(name, path) for s, name, path in listed if s == split], classes)
        file_name = {"val": "validation"}.get(split, split)
        path = out / "data" / f"{file_name}-00000-of-00001.parquet"
        pq.write_table(table, path, row_group_size=row_group_size, **options)
    return out


def write_saved(folder: Path, out: Path, *, per_batch: int = 3) -> Path:
    """Write what ``DatasetDict.save_to_disk`` writes, as far as it is read here."""
    import pyarrow as pa

    listed = list(images(folder))
    classes = sorted({name for _, name, _ in listed})
    splits = list({split: None for split, *_ in listed})
    for split in splits:
        (out / split).mkdir(parents=True)
        table = table_of([(name, path) for s, name, path in listed if s == split], classes)
        path = str(out / split / "data-00000-of-00001.arrow")
        with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table, max_chunksize=per_batch)
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": split}
        (out / split / "state.json").write_text(json.dumps(state))
    (out / "dataset_dict.json").write_text(json.dumps({"splits": splits}))
    return out


def items_of(folder: Path, *, names: bool = False) -> Iterator[freqcache.Item]:
    """Yield the images as items."""
    for split, name, path in images(folder):
        inside = path.relative_to(folder).as_posix() if names else None
        yield freqcache.Item(data=path.read_bytes(), label=name, split=None if split == "all" else split, name=inside)


def content(store: Path) -> dict[str, bytes]:
    """Return the files of a store but those that hold the source's names: what must not depend on its kind."""
    skipped = ("source_path", "source_path_offset")
    found = {path.relative_to(store): path for path in sorted(store.rglob("*")) if path.is_file()}
    return {
        str(name): path.read_bytes()
        for name, path in found.items()
        if name.name != "zarr.json" and not set(skipped) & set(name.parts)
    }
