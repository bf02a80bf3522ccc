"""Predict images and videos: mmseg/cli/predict.py by the name that people know."""
from mmseg.cli.predict import *  # noqa: F403
from mmseg.cli.predict import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
