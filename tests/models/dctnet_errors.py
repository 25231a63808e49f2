"""The published preprocessing against floating point, and the fast way against it: docs/published-weights.md.

On demand: ``python tests/models/dctnet_errors.py FOLDER [IMAGES]``, FOLDER holding photographs at any depth.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "formats"), str(ROOT / "tests" / "models")]

from dctnet_reference import reference  # noqa: E402
from layouts import dctnet_resnet50  # noqa: E402

import freqcache  # noqa: E402
from freqcache import FrequencyDataset  # noqa: E402
from freqcache.crops import CentreCrop  # noqa: E402
from freqcache.dctnet_inputs import dctnet_coefficients  # noqa: E402
from freqcache.extraction import ExtractionOptions  # noqa: E402
from freqcache.models.dctnet import load_dctnet  # noqa: E402
from freqcache.normalization import Normalization  # noqa: E402
from freqcache.transforms import EvalTransform  # noqa: E402
from freqcache_formats.mask import ChannelMask  # noqa: E402

RESIZE, CROP = 512, 448
MASK = ChannelMask.preset("24")
GROUPS = {
    "Y, DC": [c.component == "Y" and c.u == c.v == 0 for c in MASK.channels],
    "Y, others": [c.component == "Y" and c.u + c.v > 0 for c in MASK.channels],
    "chroma, DC": [c.component != "Y" and c.u == c.v == 0 for c in MASK.channels],
    "chroma, others": [c.component != "Y" and c.u + c.v > 0 for c in MASK.channels],
}


def main(folder: Path, limit: int) -> None:
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg"})
    paths = paths[:: max(1, len(paths) // limit)][:limit]
    published = np.stack([dctnet_coefficients(p, MASK, resize=RESIZE, crop=CROP).numpy() for p in paths])
    decoded = [np.asarray(Image.open(p).convert("RGB")) for p in paths]
    exact = np.stack([reference(pixels, MASK, RESIZE, CROP) for pixels in decoded])
    normalization = Normalization.dctnet(MASK)
    mean, std = (part.numpy()[:, None, None] for part in (normalization.mean, normalization.std))
    fast = read_natively(paths, normalization) * std + mean
    model = load_dctnet(dctnet_resnet50(24)).model
    logits = {}
    for name, inputs in {"published": published, "floating point": exact, "fast": fast}.items():
        x = torch.from_numpy(((inputs - mean) / std).astype(np.float32))
        with torch.no_grad():
            logits[name] = torch.cat([model(part) for part in x.split(4)])
    spread = published.std(axis=(0, 2, 3))
    print(f"{len(paths)} images of {folder}")
    tables = {"published - floating point": published - exact, "fast - published": fast - published}
    for what, difference in tables.items():
        print(f"\n{what}\n| channels | spread | error | after normalization: spread | error |\n|---|---|---|---|---|")
        for group, members in GROUPS.items():
            here = np.array(members)
            numbers = [np.sqrt((x[here] ** 2).mean()) for x in (spread, spread / std[:, 0, 0])]
            errors = [np.sqrt((x[:, here] ** 2).mean()) for x in (difference, difference / std)]
            print(f"| {group} | {numbers[0]:.3g} | {errors[0]:.2f} | {numbers[1]:.3g} | {errors[1]:.2f} |")
        print("largest", np.abs(difference).max(), "mean of Y, DC", difference[:, 0].mean())
    between = logits["published"]
    scale = (between - between.mean(0)).square().mean().sqrt()
    for name in ("floating point", "fast"):
        error = (logits[name] - between).square().mean().sqrt() / scale
        same = (logits[name].argmax(1) == between.argmax(1)).sum()
        print(
            f"logits, {name} against published: {error:.4f} of their spread; first class the same {same}/{len(paths)}"
        )


def read_natively(paths: list[Path], normalization: Normalization) -> np.ndarray:
    """The fast way: (images, 24, 56, 56), from a cache of the files' own coefficients at full size."""
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "photos" / "all"
        source.mkdir(parents=True)
        for number, path in enumerate(paths):
            (source / f"{number:05d}.jpg").symlink_to(path.resolve())
        options = freqcache.BuildOptions(shuffle=False, extraction=ExtractionOptions(max_size=None))
        freqcache.build(source.parent, Path(work) / "native.zarr", options, workers=1, quiet=True)
        crop = CentreCrop(size=CROP, resize=RESIZE)
        dataset = FrequencyDataset(Path(work) / "native.zarr", split="all", channels=MASK, crop=crop)
        if len(dataset) != len(paths):
            sys.exit(f"{len(paths) - len(dataset)} files did not become samples")
        return EvalTransform.of(dataset, normalization)(dataset.read_batch(range(len(paths)))).numpy()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40)
