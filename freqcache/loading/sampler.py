"""The loader's order, ranks and state for torch's own DataLoader.

The DataLoader's workers each read whole batches and keep nothing between them, so a row group is decoded for every
batch that has a sample of it: with the usual window nearly one a sample. A window no larger than a batch makes batches
of whole row groups, read as fast as the loader does and less well mixed; a hot copy makes single samples cheap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from torch.utils.data import Sampler

from freqcache.dataset import FrequencyDataset
from freqcache.loading.epochs import Epochs, Indices, Pass
from freqcache.loading.order import WINDOW


class FrequencyBatchSampler(Epochs, Sampler[list[int]]):
    """Batches of indices, for ``DataLoader(dataset, batch_sampler=..., collate_fn=freqcache.dataset.collate)``.

    Parameters
    ----------
    dataset, batch_size, shuffle, seed, drop_last, indices, rank, world_size, lanes, window
        As for :class:`~freqcache.loading.loader.FrequencyLoader`.
    access : str
        ``"groups"`` or ``"random"``.

    Raises
    ------
    IndexError, ValueError
        As for :class:`~freqcache.loading.loader.FrequencyLoader`.
    """

    def __init__(
        self,
        dataset: FrequencyDataset,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        drop_last: bool = False,
        indices: Indices | None = None,
        access: Literal["groups", "random"] = "groups",
        rank: int = 0,
        world_size: int = 1,
        lanes: int | None = None,
        window: int = WINDOW,
    ) -> None:
        if access not in {"groups", "random"}:
            msg = f"access: expected groups or random, found {access!r}"
            raise ValueError(msg)
        super().__init__(
            dataset,
            batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_last,
            indices=indices,
            rank=rank,
            world_size=world_size,
            lanes=lanes,
            window=window,
        )
        self.order = access

    def __iter__(self) -> Iterator[list[int]]:
        return self._batches(self._begin())

    def state_dict(self, batches_consumed: int | None = None) -> dict[str, Any]:
        """Return where the iteration that was begun last stands.

        Parameters
        ----------
        batches_consumed : int, optional
            Batches that were received from the DataLoader since the iteration began. Without it those count that the
            sampler has given, which a DataLoader with workers asks for ahead: ``prefetch_factor`` for each worker.

        Raises
        ------
        ValueError
            If the iteration has not so many batches.
        """
        most = 0 if self._pass is None else self._pass.n_batches
        if batches_consumed is not None and not 0 <= batches_consumed <= most:
            msg = f"batches_consumed: expected 0 to {most}, found {batches_consumed}"
            raise ValueError(msg)
        return self._state(batches_consumed)

    def _batches(self, visit: Pass) -> Iterator[list[int]]:
        items = self._visits(visit)
        for start in range(0, len(items), self.batch_size):
            self._receive(visit)
            yield items[start : start + self.batch_size].tolist()
        self._receive(visit, 0)
