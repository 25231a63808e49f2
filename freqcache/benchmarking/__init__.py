"""Measures how fast a store is read on this machine.

Nothing is imported here: other programs' processes take :mod:`freqcache.benchmarking.passes` without the rest.
"""
