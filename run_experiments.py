"""Run configs, numbered experiments and suites: mmseg/cli/run_experiments.py by the name that people know."""
from mmseg.cli.run_experiments import *  # noqa: F403
from mmseg.cli.run_experiments import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
