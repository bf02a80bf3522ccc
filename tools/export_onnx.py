"""Export a network to ONNX: mmseg/cli/export_onnx.py by the name that people know."""
from mmseg.cli.export_onnx import *  # noqa: F403
from mmseg.cli.export_onnx import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
