"""Names and orders of the 192 frequency channels.

A channel is one frequency of one component: ``Channel("Y", v, u)`` with v the vertical and u the horizontal
frequency, both 0..7. Two orders of the 64 frequencies of a component occur, and nothing here leaves the order
implicit:

- *zigzag* (ITU-T T.81, figure A.6): the order of JPEG bitstreams and of this format's arrays;
- *natural*: row-major, ``8 * v + u``: the order of the DCTNet repository's channel numbers.

The *storage index* of a channel is ``64 * component + zigzag``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from freqcache_formats.errors import FormatError

COMPONENTS: Final = ("Y", "Cb", "Cr")
"""Names of the components, in storage order."""

N_COMPONENTS: Final = 3

N_FREQUENCIES: Final = 64
"""Frequencies of a component."""

N_CHANNELS: Final = 192
"""Frequencies of all components."""


def _zigzag_walk() -> tuple[int, ...]:
    """Natural index of each zigzag position, walking the anti-diagonals of T.81 figure A.6."""
    cells = ((v, u) for v in range(8) for u in range(8))
    # Odd diagonals run downwards (v grows), even ones upwards (u grows).
    order = sorted(cells, key=lambda vu: (sum(vu), vu[0] if sum(vu) % 2 else vu[1]))
    return tuple(8 * v + u for v, u in order)


_WALK = _zigzag_walk()

ZIGZAG_TO_NATURAL: Final[npt.NDArray[np.intp]] = np.array(_WALK, dtype=np.intp)
"""(64,) intp; natural index at each zigzag position: ``natural[ZIGZAG_TO_NATURAL]`` is in zigzag order."""

NATURAL_TO_ZIGZAG: Final[npt.NDArray[np.intp]] = np.argsort(ZIGZAG_TO_NATURAL)
"""(64,) intp; zigzag position of each natural index: ``zigzag[NATURAL_TO_ZIGZAG]`` is in natural order."""

ZIGZAG_TO_NATURAL.setflags(write=False)
NATURAL_TO_ZIGZAG.setflags(write=False)


class Channel(NamedTuple):
    """One frequency of one component.

    Attributes
    ----------
    component : str
        ``"Y"``, ``"Cb"`` or ``"Cr"``.
    v, u : int
        Vertical and horizontal frequency, 0..7.
    """

    component: str
    v: int
    u: int

    @property
    def storage_index(self) -> int:
        """Storage index, 0..191: ``64 * component + zigzag position``."""
        return N_FREQUENCIES * COMPONENTS.index(self.component) + int(NATURAL_TO_ZIGZAG[8 * self.v + self.u])

    @property
    def natural_index(self) -> int:
        """DCTNet's channel number, 0..191: ``64 * component + 8 * v + u``."""
        return N_FREQUENCIES * COMPONENTS.index(self.component) + 8 * self.v + self.u

    def __str__(self) -> str:
        return f"{self.component}({self.v},{self.u})"

    @classmethod
    def from_index(cls, index: int) -> Channel:
        """Return the channel at a storage index.

        Raises
        ------
        FormatError
            If `index` is not in 0..191.
        """
        if not 0 <= index < N_CHANNELS:
            msg = f"channel index {index} is outside 0..{N_CHANNELS - 1}"
            raise FormatError(msg)
        component, zigzag = divmod(index, N_FREQUENCIES)
        v, u = divmod(_WALK[zigzag], 8)
        return cls(COMPONENTS[component], v, u)

    @classmethod
    def from_natural_index(cls, index: int) -> Channel:
        """Return the channel with DCTNet's number `index` (natural order inside a component)."""
        if not 0 <= index < N_CHANNELS:
            msg = f"natural channel index {index} is outside 0..{N_CHANNELS - 1}"
            raise FormatError(msg)
        component, natural = divmod(index, N_FREQUENCIES)
        return cls(COMPONENTS[component], *divmod(natural, 8))


ALL_CHANNELS: Final = tuple(Channel.from_index(i) for i in range(N_CHANNELS))
"""The 192 channels in storage order; this is the channel table of an ordinary store."""


def read_channel_table(table: object) -> tuple[Channel, ...]:
    """Return the channels of a JSON list of ``[component, v, u]``; none unless they are unique, in storage order."""
    if not isinstance(table, list):
        return ()
    listed = tuple(channel for channel in ALL_CHANNELS if list(channel) in table)
    return listed if table == [list(channel) for channel in listed] else ()
