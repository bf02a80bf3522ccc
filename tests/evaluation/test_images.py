"""What is kept of single images: scores of all, pictures of a bounded number."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmseg.evaluation import ImageResults, evaluate_network
from mmseg.evaluation.images import SHOWN, SIDE
from mmseg.models.segmentors.results import ClassScores
from tests.evaluation.test_evaluator import DATASET


class Network(nn.Module):
    """Predicts the red channel with a probability of 0.8."""
    num_classes = 3

    def class_scores(self, imgs: list[Tensor], metas: list[list[dict]]) -> ClassScores:
        ids = imgs[0][:, 0].round().long()
        return ClassScores(torch.where(nn.functional.one_hot(ids, 3).bool(), 0.8, 0.1).log().permute(0, 3, 1, 2))


def image(index: int, ids: np.ndarray, label: np.ndarray, **meta: Any) -> dict[str, Any]:
    img = torch.as_tensor(ids, dtype=torch.float32).expand(1, 3, -1, -1)
    return dict(img=[img], index=index, label=torch.as_tensor(label, dtype=torch.uint8),
                img_metas=[[dict(filename=f'images/{index}.png', ori_filename=f'{index}.png', **meta)]])


def evaluated(images: list[dict] | Iterator[dict], count: int) -> tuple[dict[str, float], ImageResults]:
    with ImageResults(count, 3) as results:
        scores = evaluate_network(Network(), images, device='cpu', dataset=DATASET, progress=False, on_image=results)
    return scores, results


def test_scores_of_images_are_those_of_their_pixels() -> None:
    labels = np.array([[0, 0, 1, 255]])
    scores, results = evaluated([image(0, np.array([[0, 1, 1, 2]]), labels), image(1, labels % 255, labels)], 2)
    first, second = results.scores
    assert first.name == '0.png' and first.accuracy == pytest.approx(2 / 3)
    np.testing.assert_allclose(first.iou, [0.5, 0.5, np.nan])  # class 2 is predicted where nothing is labelled
    assert first.miou == 0.5 and second.miou == second.accuracy == 1
    assert results.confusion.tolist() == [[3, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert scores['aAcc'] == pytest.approx(5 / 6, abs=1e-4)


def test_a_class_predicted_in_vain_costs_those_it_covers_but_counts_for_none() -> None:
    _, results = evaluated([image(0, np.array([[0, 2]]), np.array([[0, 0]]))], 1)
    assert results.scores[0].miou == 0.5


def test_the_worst_and_a_sample_are_kept_and_no_more() -> None:
    count, label = 60, np.zeros((1, 100), int)

    def images() -> Iterator[dict]:
        for index in range(count):
            wrong = (index * 7) % count  # pixels; each number once
            ids = label.copy()
            ids[0, :wrong] = 1
            yield image(index, ids, label)

    _, results = evaluated(images(), count)
    assert [round(100 * picture.score.miou) for picture in results.worst] == list(range(41, 41 + SHOWN))
    drawn = [picture.score.index for picture in results.drawn]
    assert len(drawn) == SHOWN and drawn == sorted(drawn)
    _, again = evaluated(images(), count)
    assert [picture.score.index for picture in again.drawn] == drawn and len(results.scores) == count


def test_an_image_without_labels_is_not_the_worst() -> None:
    nothing = np.full((1, 2), 255)
    _, results = evaluated([image(0, nothing % 255, nothing), image(1, np.array([[1, 0]]), np.array([[0, 0]]))], 2)
    assert np.isnan(results.scores[0].miou)
    assert [picture.score.index for picture in results.worst] == [1] and len(results.drawn) == 2


def test_pictures_show_what_the_network_saw_at_a_reduced_size() -> None:
    ids = np.zeros((20, 2 * SIDE), int)
    ids[:, SIDE:] = 2
    norm = dict(mean=np.array([10., 20, 30]), std=np.array([50., 50, 50]), to_rgb=True)
    _, results = evaluated([image(0, ids, ids, img_norm_cfg=norm)], 1)
    [picture] = results.worst
    assert picture.prediction.shape == picture.truth.shape == picture.confidence.shape == (10, SIDE)
    assert picture.photograph.shape == (10, SIDE, 3) and picture.photograph.dtype == np.uint8
    assert picture.photograph[0, 0].tolist() == [10, 20, 30] and picture.photograph[0, -1].tolist() == [110, 120, 130]
    assert set(np.unique(picture.confidence)) == {204}  # 0.8


def test_images_of_other_kinds_have_pictures_too() -> None:
    grey = image(0, np.array([[0, 1]]), np.array([[0, 1]]))
    grey['img'] = [grey['img'][0][:, :1]]
    _, results = evaluated([grey], 1)
    assert results.worst[0].photograph.tolist() == [[[0] * 3, [255] * 3]]  # not normalised: from least to largest


def test_a_failed_evaluation_does_not_wait_for_pictures() -> None:
    with pytest.raises(ZeroDivisionError), ImageResults(1, 3):
        1 / 0  # noqa: B018


def test_probabilities_of_several_augmentations_are_averaged() -> None:
    first, second = torch.rand(2, 1, 3, 4, 4).softmax(2)
    both = ClassScores(first + second, augmentations=2)
    torch.testing.assert_close(both.probabilities(), (first + second) / 2)
    torch.testing.assert_close(both.confidence(2), ((first + second) / 2).amax(1)[:, ::2, ::2])
    logits = torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(ClassScores(logits).confidence(), logits.softmax(1).amax(1))
