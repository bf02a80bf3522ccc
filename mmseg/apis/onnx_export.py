"""A whole-image segmentor as an ONNX file that gives the same numbers."""
from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmseg.errors import ExportError
from mmseg.extras import require
from mmseg.utils.atomic import write_atomically

TOLERANCE = 1e-4  # of the logits, absolute; relative to the largest one if that is above 1


class _Logits(nn.Module):
    """A segmentor whose forward pass is from a normalised image to logits."""

    def __init__(self, segmentor: nn.Module) -> None:
        super().__init__()
        self.segmentor = segmentor

    def forward(self, img: Tensor) -> Tensor:
        return self.segmentor.encode_decode(img)


def export_onnx(model: nn.Module, path: str | Path, size: tuple[int, int]) -> float:
    """Write a segmentor as ONNX, after comparing onnxruntime's logits with torch's on random numbers.

    The file maps ``img``, float32 [1, 3, height, width], RGB, normalised, to ``logits``, float32 [1, classes, height,
    width]. Its metadata hold the JSON texts ``classes``, ``palette`` and, if the config has a test pipeline, ``mean``
    and ``std``.

    Args:
        model: on the CPU, from :func:`~mmseg.apis.init_segmentor`.
        path: the file.
        size: (height, width) of the images; another size needs another file.

    Returns:
        The largest absolute difference of the logits.

    Raises:
        PackageMissing: if the extra 'onnx' is not installed.
        ExportError: if torch cannot export the network, or the numbers differ.
        ValueError: if the config predicts in windows, or the size is too small for the network.
    """
    require('the export to ONNX', 'onnx', 'onnx', 'onnxscript', 'onnxruntime')
    if model.test_cfg['mode'] != 'whole':
        raise ValueError('the config predicts in sliding windows (model.test_cfg.mode), but an ONNX file holds one '
                         'pass over one image: add --options model.test_cfg.mode=whole')
    img = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.encode_decode(img).numpy()
        try:
            program = torch.onnx.export(_Logits(model).eval(), (img, ), input_names=['img'], output_names=['logits'],
                                        dynamo=True, verbose=False)
        except Exception as error:  # the exporter fails in any way
            raise ExportError(f'torch {torch.__version__} cannot export this network ({_first_line(error)}): try a '
                              'newer torch') from error
    program.model.metadata_props.update({key: json.dumps(value) for key, value in _description(model).items()})
    difference = 0.

    def write(temporary: str) -> None:
        nonlocal difference
        program.save(temporary, external_data=False)
        difference = _difference(temporary, img, expected)

    write_atomically(path, write)
    return difference


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _difference(path: str, img: Tensor, expected: np.ndarray) -> float:
    """The largest difference between the file's logits and the ``expected`` ones."""
    import onnxruntime
    [logits] = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider']).run(None, {'img': img.numpy()})
    difference = float(np.abs(logits - expected).max())
    if not difference <= TOLERANCE * max(1, np.abs(expected).max()):
        raise ExportError(f'the exported network gives other logits than torch (by up to {difference:.2g}), so no file '
                          'was written: try other versions of torch and onnxruntime')
    return difference


def _description(model: nn.Module) -> dict[str, Any]:
    """What a user of the file has to know, as plain values."""
    test_set = (model.cfg.get('data') or {}).get('test') or {}
    norm = next(_steps(test_set.get('pipeline', ()), 'Normalize'), {})
    return dict(classes=list(model.CLASSES), palette=[list(colour) for colour in model.PALETTE],
                **{key: list(norm[key]) for key in ('mean', 'std') if key in norm})


def _steps(pipeline: Iterable[Mapping[str, Any]], kind: str) -> Iterator[Mapping[str, Any]]:
    """The steps of a type, those inside of other steps included."""
    for step in pipeline:
        if step['type'] == kind:
            yield step
        yield from _steps(step.get('transforms', ()), kind)
