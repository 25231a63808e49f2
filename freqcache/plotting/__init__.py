"""Pictures of channels, caches, samples, runs and sweeps; each kind has a module of its own.

- :mod:`~freqcache.plotting.heatmaps`: numbers per channel as three 8x8 panels;
- :mod:`~freqcache.plotting.statistics`: what a cache says of its channels;
- :mod:`~freqcache.plotting.tiles`: one sample's coefficients, a tile for each channel;
- :mod:`~freqcache.plotting.reconstruction`: one sample's image from some of its channels;
- :mod:`~freqcache.plotting.runs`, :mod:`~freqcache.plotting.curves`: gates of runs, and their epochs;
- :mod:`~freqcache.plotting.sweeps`: accuracy against channels.

Needs matplotlib, the extra ``plot``; it is loaded when something is drawn, never by an import of these modules. They
draw with its object-oriented API: no display, and no global state left changed. How all of it looks, and how files are
written, is :mod:`~freqcache.plotting.style`'s.
"""
