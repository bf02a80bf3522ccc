"""For people who work on this project: what writes the documents' figures and tables, and draws the built-in benchmark.

Run them as ``python -m dev.NAME``. What users run is in ``tools``, which may import from here; ``mmseg`` does not.
"""
