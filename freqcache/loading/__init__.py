"""Batches of a dataset: which samples come when, on which rank, and how they are read ahead.

:mod:`~freqcache.loading.loader` is what users see; :mod:`~freqcache.loading.sampler` does the same for torch's own
DataLoader. Orders are :mod:`~freqcache.loading.order`'s, ranks and the state to go on from
:mod:`~freqcache.loading.epochs`'s, and what is read when is :mod:`~freqcache.loading.portions`'s.
"""
