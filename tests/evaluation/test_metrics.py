"""Scores of hand-made label maps."""
from __future__ import annotations

import math

import pytest
import torch

from mmseg.evaluation import ConfusionMatrix, check_metrics, class_subsets, format_table, iou_lines

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'))]
CITYSCAPES = ('road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign', 'vegetation',
              'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')


@pytest.mark.parametrize('device', DEVICES)
def test_scores_of_a_small_map(device: str) -> None:
    matrix = ConfusionMatrix(3, device=device)
    matrix.update(torch.tensor([[0, 0, 1], [1, 2, 2]]), torch.tensor([[0, 1, 1], [1, 255, 0]]))
    scores = matrix.compute(['road', 'sky', 'car'])
    assert scores['IoU.road'] == round(100 / 3, 2) / 100  # 1 of 3
    assert scores['Acc.sky'] == round(200 / 3, 2) / 100  # 2 of 3
    assert scores['IoU.car'] == 0  # predicted, but not labelled
    assert math.isnan(scores['Acc.car'])
    assert scores['aAcc'] == 0.6
    assert scores['mIoU'] == round((1 / 3 + 2 / 3 + 0) / 3 * 100, 2) / 100
    assert scores['mAcc'] == round((1 / 2 + 2 / 3) / 2 * 100, 2) / 100


@pytest.mark.parametrize('device', DEVICES)
def test_counting_in_parts_gives_the_same(device: str) -> None:
    generator = torch.Generator().manual_seed(0)
    pred = torch.randint(0, 5, (4, 30, 20), generator=generator)
    label = torch.randint(0, 5, (4, 30, 20), generator=generator).to(torch.uint8)
    label[label == 4] = 255
    whole, parts = ConfusionMatrix(5, device=device), ConfusionMatrix(5, device=device)
    whole.update(pred, label)
    for one_pred, one_label in zip(pred, label):
        parts.update(one_pred.to(device), one_label)
    assert torch.equal(whole.counts, parts.counts)
    assert int(whole.counts.sum()) == int((label != 255).sum())
    assert int(whole.counts[2, 3]) == int(((label == 2) & (pred == 3)).sum())


def test_class_absent_from_labels_and_predictions_is_skipped() -> None:
    matrix = ConfusionMatrix(4)
    matrix.update(torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert matrix.compute()['mIoU'] == 1


def test_void_pixels_do_not_count() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(torch.tensor([1, 2, 1]), torch.tensor([255, 2, 255]))
    assert matrix.compute()['aAcc'] == 1


def test_nothing_labelled_gives_nan_not_an_error() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(torch.tensor([0, 0]), torch.tensor([255, 255]))
    assert math.isnan(matrix.compute()['aAcc']) and math.isnan(matrix.compute()['mIoU'])


def test_other_metrics() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1]))
    scores = matrix.compute(['a', 'b'], ['mDice', 'mFscore'])
    assert list(scores) == ['aAcc', 'mDice', 'mAcc', 'mFscore', 'mPrecision', 'mRecall', 'Dice.a', 'Dice.b', 'Acc.a',
                            'Acc.b', 'Fscore.a', 'Fscore.b', 'Precision.a', 'Precision.b', 'Recall.a', 'Recall.b']
    assert scores['Precision.a'] == 0.5 and scores['Recall.a'] == 1 and scores['Recall.b'] == pytest.approx(0.6667)
    assert scores['Dice.b'] == scores['Fscore.b'] == 0.8


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match=r'\(2, 3\).*\(3, 2\)'):
        ConfusionMatrix(2).update(torch.zeros(2, 3, dtype=torch.long), torch.zeros(3, 2, dtype=torch.long))


@pytest.mark.parametrize('name, hint', [('mIou', 'mIoU'), ('cityscapes', 'python -m tools.test --eval cityscapes')])
def test_unknown_metrics_are_refused(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        check_metrics([name])


# Synthia


def synthia_scores() -> dict[str, float]:
    """All classes but terrain, truck and train half right; wall, fence and pole worse."""
    matrix = ConfusionMatrix(19)
    for i, name in enumerate(CITYSCAPES):
        hits = {'terrain': 0, 'truck': 0, 'train': 0, 'wall': 1, 'fence': 1, 'pole': 1}.get(name, 5)
        matrix.update(torch.tensor([i] * hits + [0] * (10 - hits)), torch.full((10, ), i))
    cfg = dict(data=dict(train=dict(type='UDADataset', source=dict(type='SynthiaDataset'), target=dict())))
    return matrix.compute(CITYSCAPES, subsets=class_subsets(cfg, CITYSCAPES))


def test_synthia_sources_are_scored_over_16_and_13_classes() -> None:
    scores = synthia_scores()
    ious = {name: scores[f'IoU.{name}'] for name in CITYSCAPES}
    sixteen = [iou for name, iou in ious.items() if name not in ('terrain', 'truck', 'train')]
    thirteen = [iou for name, iou in ious.items()
                if name not in ('terrain', 'truck', 'train', 'wall', 'fence', 'pole')]
    assert len(sixteen) == 16 and len(thirteen) == 13
    assert scores['mIoU16'] == pytest.approx(sum(sixteen) / 16, abs=1e-4)
    assert scores['mIoU13'] == pytest.approx(sum(thirteen) / 13, abs=1e-4)
    # what papers compute by hand, the three other classes being 0
    assert scores['mIoU16'] == pytest.approx(scores['mIoU'] * 19 / 16, abs=1e-4)


@pytest.mark.parametrize('train', [
    dict(type='SynthiaDataset'), [dict(type='SynthiaDataset')],
    dict(type='RepeatDataset', times=2, dataset=dict(type='SynthiaDataset')),
    dict(type='UDADataset', source=[dict(type='SynthiaDataset')], target=dict(type='CityscapesDataset'))
])
def test_synthia_is_found_in_wrappers(train: dict | list) -> None:
    assert set(class_subsets(dict(data=dict(train=train)), CITYSCAPES)) == {'mIoU16', 'mIoU13'}


@pytest.mark.parametrize('cfg', [
    dict(), dict(data=dict(train=dict(type='UDADataset', source=dict(type='GTADataset'),
                                      target=dict(type='SynthiaDataset'))))
])
def test_other_sources_have_one_mean(cfg: dict) -> None:
    assert class_subsets(cfg, CITYSCAPES) == {}


def test_other_classes_have_one_mean() -> None:
    assert class_subsets(dict(data=dict(train=dict(type='SynthiaDataset'))), ('road', 'car')) == {}


# tables


def test_table_shows_every_class_and_the_summary_in_percent() -> None:
    scores = synthia_scores()
    table = format_table(scores, CITYSCAPES)
    row = next(line for line in table.splitlines() if 'traffic sign' in line)
    assert [cell.strip() for cell in row.strip('|').split('|')] == [
        'traffic sign', f'{scores["IoU.traffic sign"] * 100:.2f}', f'{scores["Acc.traffic sign"] * 100:.2f}']
    header, _, values = table.split('Summary:')[1].strip().splitlines()[1:4]
    summary = dict(zip(*([cell.strip() for cell in line.strip('|').split('|')] for line in (header, values))))
    assert list(summary)[:3] == ['aAcc', 'mIoU', 'mAcc'] and {'mIoU16', 'mIoU13'} < set(summary)
    assert summary['mIoU16'] == f'{scores["mIoU16"] * 100:.2f}'


def test_iou_lines_are_percent_with_one_decimal() -> None:
    names, values = iou_lines({'aAcc': 0.9, 'mIoU': 0.6834, 'mAcc': 0.7, 'IoU.road': 0.97, 'Acc.road': 1.0}).split('\n')
    assert names == "['mIoU', 'IoU.road']" and values == '[68.3, 97.0]'
