"""The official evaluation of Cityscapes: cityscapesscripts on label ids, for whoever wants its word for the scores."""
from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

from mmseg.datasets.cityscapes_labels import CITYSCAPES_CLASSES
from mmseg.errors import DataError
from mmseg.evaluation.writers import server_name
from mmseg.extras import require

TRAIN_IDS, LABEL_IDS = '_labelTrainIds.png', '_labelIds.png'


def official_truths(dataset: Any) -> list[str]:
    """The label-id files that the official evaluation compares with, one per image.

    Raises:
        PackageMissing: if the extra 'cityscapes' is not installed.
        DataError: if the data set does not have them.
    """
    require('--eval cityscapes', 'cityscapes', 'cityscapesscripts')
    if tuple(dataset.CLASSES) != CITYSCAPES_CLASSES or not hasattr(dataset, 'label_path'):
        raise DataError(f"--eval cityscapes needs one data set with the 19 Cityscapes classes, not a "
                        f"{type(dataset).__name__}: use --eval mIoU")
    paths = [dataset.label_path(idx).replace(TRAIN_IDS, LABEL_IDS) for idx in range(len(dataset))]
    missing = [path for path in paths if not path.endswith(LABEL_IDS) or not os.path.isfile(path)]
    if missing:
        raise DataError(f'--eval cityscapes compares with label ids, but {len(missing)} files such as {missing[0]} do '
                        'not exist: unpack them from the package of the labels (of Cityscapes: '
                        'gtFine_trainvaltest.zip), or use --eval mIoU, which scores the same on train ids')
    return paths


def official_scores(folder: str | os.PathLike, dataset: Any) -> dict[str, float]:
    """Run the pixel-level evaluation of cityscapesscripts.

    Its instance-weighted scores are left out: the published package needs a numpy below 2.4 for them.

    Args:
        folder: files of label ids, as :class:`~mmseg.evaluation.writers.TestServerExport` writes them.
        dataset: see :func:`official_truths`.

    Returns:
        mIoU, the mean over the 7 categories as mIoU7, and IoU.<class>, in 0..1; NaN for classes that do not occur.

    Raises:
        DataError: if labels are missing, or the official program gives up (it says why on the console).
    """
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as program
    settings = copy.copy(program.args)
    settings.evalInstLevelScore, settings.JSONOutput, settings.quiet = False, False, True
    predictions = [str(Path(folder) / server_name(info['filename'])) for info in dataset.img_infos]
    try:
        result = program.evaluateImgLists(predictions, official_truths(dataset), settings)
    except SystemExit as error:
        raise DataError('the evaluation of cityscapesscripts stopped; its reason stands above') from error
    return {
        'mIoU': result['averageScoreClasses'],
        'mIoU7': result['averageScoreCategories'],
        **{f'IoU.{name}': result['classScores'][name] for name in dataset.CLASSES}
    }
