"""How random the orders of epochs are: the table of docs/performance.md.

    python tests/benchmarks/order_quality.py [--samples 50000] [--batch 256] [--epochs 3]

Prints both measures of :mod:`freqcache.loading.randomness`, as means over some epochs. Nothing is timed or read.
"""

from __future__ import annotations

import argparse

import numpy as np

from freqcache.loading.order import Order, epoch_order
from freqcache.loading.randomness import neighbour_distance, pairs_together

ROW_GROUPS = (16, 20)
WINDOWS = (256, 1024, 4096)


def measured(samples: int, row_group: int, order: Order, window: int, batch: int, epochs: int) -> tuple[float, float]:
    """Return the mean of each measure over some epochs."""
    groups = np.arange(samples) // row_group
    orders = [epoch_order(groups, order, seed=0, epoch=epoch, window=window) for epoch in range(epochs)]
    together = [pairs_together(one, groups, batch) for one in orders]
    return float(np.mean(together)), float(np.mean([neighbour_distance(one) for one in orders]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    kinds: list[tuple[str, Order, int]] = [("full shuffle", "random", 1)]
    kinds += [(f"groups, window {window:,}", "groups", window) for window in reversed(WINDOWS)]
    kinds += [("the store's order", "stored", 1)]
    print("| order | " + " | ".join(f"pairs, groups of {n} | distance, groups of {n}" for n in ROW_GROUPS) + " |")
    print("|---" * (1 + 2 * len(ROW_GROUPS)) + "|")
    for name, order, window in kinds:
        cells = []
        for row_group in ROW_GROUPS:
            together, distance = measured(options.samples, row_group, order, window, options.batch, options.epochs)
            cells += [f"{together:.2f}", f"{distance:.4f}" if distance < 0.01 else f"{distance:.2f}"]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
