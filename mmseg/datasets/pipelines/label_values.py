"""A pipeline names label values, too: they have to be those of its data set."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmseg.datasets.label_format import LabelFormat
from mmseg.errors import DataError
from mmseg.utils.labels import IGNORED

Step = dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]


def agreed(pipeline: Sequence[Step], dataset: str, label_format: LabelFormat) -> list[Step]:
    """The pipeline with 255 where it names the data set's own id of unlabelled pixels, which reading makes of it.

    Args:
        pipeline: transforms as a config gives them; callables stay as they are.
        dataset: name of the data set's class, for messages.
        label_format: of the data set.

    Raises:
        DataError: if a transform names another id, or reduces the zero label and the data set does not.
    """
    return [_agreed(step, dataset, label_format) if isinstance(step, dict) else step for step in pipeline]


def _agreed(step: dict[str, Any], dataset: str, label_format: LabelFormat) -> dict[str, Any]:
    step, void = dict(step), label_format.ignore_index
    reduces = step.get('reduce_zero_label')
    if reduces is not None and reduces != label_format.reduce_zero_label:
        raise DataError(f'{step["type"]} says reduce_zero_label={reduces}, the data set {dataset} '
                        f'reduce_zero_label={label_format.reduce_zero_label}: set it in the data set alone (in '
                        'data.train, data.val and data.test), which statistics and evaluation follow, too')
    for key in {'ignore_index', 'seg_pad_val'} & set(step):
        classes = range(label_format.num_classes or IGNORED) if key == 'seg_pad_val' else ()
        if step[key] == void:
            step[key] = IGNORED
        elif step[key] != IGNORED and step[key] not in classes:
            raise DataError(f'{step["type"]} names {key}={step[key]}, the data set {dataset} ignore_index={void}: name '
                            f'one of them; unlabelled pixels are {IGNORED} once a label map is read')
    if 'transforms' in step:
        step['transforms'] = agreed(step['transforms'], dataset, label_format)
    return step
