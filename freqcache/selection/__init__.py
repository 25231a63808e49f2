"""Which channels a network needs: numbers per channel, masks cut from them, and how well two of either agree.

- :mod:`~freqcache.selection.rankings`: a number per channel, with its name and its source.
- :mod:`~freqcache.selection.probabilities`: what gates learned, as such a ranking.
- :mod:`~freqcache.selection.profile`: what a cache says of its channels: energy, deviation, bytes.
- :mod:`~freqcache.selection.cuts`: from a ranking to a mask, by a count, a threshold or a budget of bytes.
- :mod:`~freqcache.selection.agreement`: rank correlations and Jaccard indices.
- :mod:`~freqcache.selection.report`: all that is known of a mask's channels together.
- :mod:`~freqcache.selection.table`: the numbers as a CSV file.

Running the network, and the whole road from a run or a cache to a mask, is :mod:`freqcache.training.select`.
"""

from __future__ import annotations

from freqcache.selection.agreement import Agreement, Correlation, agreement, jaccard, rank_correlation
from freqcache.selection.cuts import Selection, select_by_budget, select_by_threshold, select_top_k
from freqcache.selection.probabilities import ChannelProbabilities
from freqcache.selection.rankings import Ranking, frequency_index, random_ranking

__all__ = [
    "Agreement",
    "ChannelProbabilities",
    "Correlation",
    "Ranking",
    "Selection",
    "agreement",
    "frequency_index",
    "jaccard",
    "random_ranking",
    "rank_correlation",
    "select_by_budget",
    "select_by_threshold",
    "select_top_k",
]
