"""The papers' numbered experiments: from settings to configs (``runs``), and from configs to trainings (``named``).

Suites compare the configs of a folder (``suites``): trained side by side (``suite_runs``, ``side_by_side``), kept as
``records``, tabulated and drawn (``comparison``, ``pictures``). What trainings log is read by ``logs``.
"""
