"""The experiments of the papers, and suites of configs, by number: the table is mmseg/experiments/numbered.py."""
from mmseg.experiments.numbered import *  # noqa: F403
