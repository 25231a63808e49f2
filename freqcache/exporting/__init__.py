"""From a cache back to image files: JPEG files of the coefficients themselves, or pixels of one sample.

:mod:`freqcache.exporting.folder` writes a whole cache or a part of it, :mod:`freqcache.exporting.single` one sample.
The JPEG encoder is :mod:`freqcache.jpeg.writer`.
"""

from __future__ import annotations

from freqcache.exporting.folder import export_jpegs
from freqcache.exporting.report import ExportIncompleteError, ExportReport
from freqcache.exporting.single import save_sample, to_jpeg

__all__ = ["ExportIncompleteError", "ExportReport", "export_jpegs", "save_sample", "to_jpeg"]
