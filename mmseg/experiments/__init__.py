"""The papers' numbered experiments: from settings to configs (``runs``), and from configs to trainings (``named``).

What trainings log is read by ``logs``.
"""
