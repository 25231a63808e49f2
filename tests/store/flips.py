"""Changes single random bytes of stores: ``freqcache verify`` must find each change, or the byte must mean nothing.

    python tests/store/flips.py WORK [--count 1000] [--seed 0]

Runs over a native store with absent slots, a fixed int8 one, a fixed int16 one with absent slots, and both kinds with a
hot copy. A change that is not found counts as *proved unused* only if

- the file is a ``zarr.json`` and the JSON parses to equal values (white space, spelling of a number or of a string); or
- the file is a chunk of a hot copy's coefficients and no sample that is there covers the byte (section 11 of the
  specification: elements of no sample, and values of absent slots, mean nothing); or
- the file is a chunk of a hot copy's checksums, and the byte is of an absent slot, or behind the last slot, or of a
  channel of which the sample has no block.

Anything else that is not found is a defect. A table by kind of file is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from photographs import write_tree  # noqa: E402

import freqcache  # noqa: E402
import freqcache.building.hot as hot_module  # noqa: E402
import freqcache.building.plan as plan_module  # noqa: E402
from freqcache.errors import FreqcacheError  # noqa: E402
from freqcache.verification import verify  # noqa: E402

FOUND, UNUSED, MISSED = "found", "proved unused", "MISSED"
STORES = {
    "native": (None, False, ""),
    "int8": (48, False, ""),
    "int16": (48, True, ""),
    "native-hot": (None, False, "24"),
    "int8-hot": (48, False, "6"),
}
"""Size, exactness and hot channels of the stores."""


def build_stores(work: Path) -> dict[str, Path]:
    """Build the stores, with small row groups and shards, from photographs of which two are cut off."""
    source = work / "source"
    if not source.exists():
        write_tree(source, per_class=10)
        for name in ("train/ant/0.jpg", "val/bee/1.jpg"):
            (source / name).write_bytes((source / name).read_bytes()[:-60])
    small = {"SHARD_SAMPLES": 16, "ROW_GROUP_BLOCKS": 100}
    with mock.patch.multiple(plan_module, **small), mock.patch.object(hot_module, "SLOTS_PER_CHUNK", 6):
        for name, (size, exact, channels) in STORES.items():
            out = work / f"{name}.zarr"
            if not out.exists():
                freqcache.build(source, out, freqcache.BuildOptions(size=size, exact=exact), workers=1, quiet=True)
                if channels:
                    freqcache.make_hot(out, channels, quiet=True)
    return {name: work / f"{name}.zarr" for name in STORES}


def kind_of(path: str) -> str:
    """Return the kind of a file of a store."""
    hot, parts = path.startswith("hot/"), path.removeprefix("hot/").split("/")
    if parts[-1] == "zarr.json":
        word = {1: "root zarr.json", 2: "split zarr.json", 3: "array zarr.json"}[len(parts)]
    elif parts[1] in {"y", "cb", "cr", "coefficients"}:
        word = "coefficients" if hot else "shard"
    else:
        word = "checksums" if hot and parts[1] == "checksum" else "small array"
    return f"hot {word}" if hot else word


@dataclass(frozen=True)
class Harness:
    """A store and what is known of its hot copy."""

    store: Path

    def files(self) -> list[str]:
        """All files, sorted."""
        return sorted(p.relative_to(self.store).as_posix() for p in self.store.rglob("*") if p.is_file())

    def is_refused(self) -> bool:
        """Whether a verification finds something."""
        try:
            return not verify(self.store, workers=1, quiet=True).is_sound
        except FreqcacheError:
            return True

    def change(self, path: str, position: int, value: int) -> str:
        """Change one byte, verify, put it back; return what became of the change."""
        file = self.store / path
        content = file.read_bytes()
        changed = bytearray(content)
        changed[position] ^= value
        file.write_bytes(changed)
        try:
            if self.is_refused():
                return FOUND
            return UNUSED if self.is_unused(path, position, content, bytes(changed)) else MISSED
        finally:
            file.write_bytes(content)

    def is_unused(self, path: str, position: int, before: bytes, after: bytes) -> bool:
        """Whether a byte means nothing, by the rules above: read off the specification, not from the verification."""
        if path.endswith("zarr.json"):
            return bool(json.loads(before) == json.loads(after)) and not _bools_and_numbers_differ(before, after)
        if not path.startswith("hot/") or kind_of(path) not in {"hot coefficients", "hot checksums"}:
            return False
        return position not in self.used_bytes(path)

    def used_bytes(self, path: str) -> set[int]:
        """Return the bytes of a hot chunk that mean something."""
        import zarr

        _, name, array, _, number = path.split("/")[:5]
        stored = zarr.open_group(self.store / name, mode="r")
        copy = zarr.open_group(self.store / "hot" / name, mode="r")
        channels = json.loads((self.store / "hot/zarr.json").read_text())["attributes"]["freqcache"]["channels"]
        present = np.asarray(stored["origin"]) != 255
        per_chunk = copy["checksum"].chunks[0]
        used: set[int] = set()
        for slot in range(int(number) * per_chunk, min((int(number) + 1) * per_chunk, len(present))):
            row = slot % per_chunk
            if not present[slot]:
                continue
            if array == "checksum":
                for i, (component, _, _) in enumerate(channels):
                    c = ["Y", "Cb", "Cr"].index(component)
                    if "blocks" not in stored or np.asarray(stored["blocks"])[slot, c].all():
                        used.update(range(4 * (row * len(channels) + i), 4 * (row * len(channels) + i + 1)))
            elif array == "coefficients":
                size = int(np.prod(copy[array].chunks[1:])) * copy[array].dtype.itemsize
                used.update(range(row * size, (row + 1) * size))
            else:
                c = ["y", "cb", "cr"].index(array)
                held = sum(component.lower() == array for component, _, _ in channels)
                start = int(np.asarray(copy["start"])[slot, c]) - int(number) * copy[array].chunks[0]
                used.update(range(2 * start, 2 * (start + held * int(np.asarray(stored["blocks"])[slot, c].prod()))))
        return used


def _bools_and_numbers_differ(before: bytes, after: bytes) -> bool:
    """Whether Python calls values equal that JSON does not: 1, 1.0 and true."""
    return repr(json.loads(before)) != repr(json.loads(after))


def changes(harness: Harness, count: int, rng: np.random.Generator) -> Iterator[tuple[str, int, int]]:
    """Yield files, positions and changes: half of them any byte of the store, half of a random kind of file first."""
    files = harness.files()
    sizes = np.array([(harness.store / path).stat().st_size for path in files])
    kinds = sorted({kind_of(path) for path in files})
    for i in range(count):
        weights = sizes if i % 2 else sizes * np.array([kind_of(p) == kinds[int(i // 2) % len(kinds)] for p in files])
        number = int(rng.choice(len(files), p=weights / weights.sum()))
        yield files[number], int(rng.integers(sizes[number])), int(rng.integers(1, 256))


def run(store: Path, count: int, seed: int) -> tuple[dict[str, Counter[str]], list[str]]:
    """Change random bytes of one store; return the results by kind of file, and the changes that were missed."""
    harness, table, missed = Harness(store), {}, []
    if harness.is_refused():
        sys.exit(f"{store}: is not sound to begin with")
    for path, position, value in changes(harness, count, np.random.default_rng(seed)):
        result = harness.change(path, position, value)
        table.setdefault(kind_of(path), Counter())[result] += 1
        if result == MISSED:
            missed.append(f"{store.name}/{path}: byte {position} ^ {value}")
    return table, missed


def main() -> int:
    """Run all stores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=1000, help="changes of each store")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", choices=STORES, action="append", help="only these stores")
    options = parser.parse_args()
    failed = 0
    for name, store in build_stores(options.work).items():
        if options.store and name not in options.store:
            continue
        table, missed = run(store, options.count, options.seed)
        print(f"{name}: {sum(sum(counts.values()) for counts in table.values())} changes")
        for kind, counts in sorted(table.items()):
            print(f"  {kind:20} " + ", ".join(f"{counts[word]} {word}" for word in (FOUND, UNUSED, MISSED)))
        print("\n".join(missed), flush=True)
        failed += len(missed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
