"""Running a network over a loader: streaming, modes, messages about bad data."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmseg.errors import DataError
from mmseg.evaluation import ConfusionMatrix, evaluate_network, predictions

DATASET = SimpleNamespace(CLASSES=('road', 'sky', 'car'), ignore_index=255)


class Network(nn.Module):
    """Predicts the red channel."""
    num_classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.learning = nn.Dropout(), nn.Dropout()
        self.frozen.eval()
        self.seen: list[dict[str, Any]] = []

    def predict(self, imgs: list[Tensor], metas: list[list[dict]]) -> Tensor:
        self.seen.append(dict(training=self.learning.training, grad=torch.is_grad_enabled(),
                              autocast=torch.is_autocast_enabled('cpu'), augmentations=len(imgs), metas=metas))
        return imgs[0][:, 0].long()


def image(ids: list[list[int]], label: list[list[int]] | None = None, name: str = 'a.png') -> dict[str, Any]:
    sample = dict(img=[torch.tensor(ids, dtype=torch.float32).expand(1, 3, -1, -1)], index=0,
                  img_metas=[[dict(filename=f'images/{name}', ori_filename=name)]])
    return sample if label is None else dict(sample, label=torch.tensor(label, dtype=torch.uint8))


def evaluate(*images: dict[str, Any], network: Network | None = None, **kwargs: Any) -> dict[str, float]:
    return evaluate_network(network or Network(), images, device='cpu', dataset=DATASET, progress=False, **kwargs)


def test_scores_over_images_of_different_sizes() -> None:
    scores = evaluate(image([[0, 1]], [[0, 0]]), image([[2], [2], [1]], [[2], [255], [1]]))
    assert scores['aAcc'] == 0.75
    assert scores['IoU.road'] == 0.5 and scores['IoU.sky'] == 0.5 and scores['IoU.car'] == 1


def test_predicts_in_evaluation_mode_without_gradients_and_restores_every_mode() -> None:
    network = Network()
    evaluate(image([[0]], [[0]]), network=network)
    assert network.seen[0]['training'] is False and network.seen[0]['grad'] is False
    assert network.training and network.learning.training and not network.frozen.training


def test_modes_are_restored_after_an_error() -> None:
    network = Network()
    with pytest.raises(DataError):
        evaluate(image([[0]], [[7]]), network=network)
    assert network.learning.training and not network.frozen.training


def test_gradients_stay_on_for_whom_predictions_are_yielded() -> None:
    for _ in predictions(Network(), [image([[0]])], device='cpu', progress=False):
        assert torch.is_grad_enabled()


def test_autocast_when_asked() -> None:
    network = Network()
    evaluate(image([[0]], [[0]]), network=network)
    evaluate(image([[0]], [[0]]), network=network, autocast_dtype=torch.bfloat16)
    assert [seen['autocast'] for seen in network.seen] == [False, True]


def test_every_prediction_is_handed_out_with_its_meta() -> None:
    handed = []
    evaluate(image([[0, 1]], [[0, 0]], 'a.png'), image([[2]], [[2]], 'b.png'),
             on_prediction=lambda index, pred, meta: handed.append((index, pred.tolist(), meta['ori_filename'])))
    assert handed == [(0, [[0, 1]], 'a.png'), (1, [[2]], 'b.png')]


def test_prediction_alone_needs_no_labels() -> None:
    handed = []
    assert evaluate(image([[1]]), metrics=(), on_prediction=lambda *args: handed.append(args)) == {}
    assert len(handed) == 1


def test_foreign_ids_name_file_ids_and_remedy() -> None:
    with pytest.raises(DataError, match=r'images/bad\.png holds the ids \[3, 33\].*convert_datasets'):
        evaluate(image([[0, 0, 0]], [[0, 3, 33]], 'bad.png'))


def test_wrong_label_size_names_the_file() -> None:
    with pytest.raises(DataError, match=r'images/bad\.png is 2x1 .* the image is 1x2'):
        evaluate(image([[0, 0]], [[0], [0]], 'bad.png'))


def test_missing_labels_say_what_to_do() -> None:
    with pytest.raises(DataError, match='no labels .*--format-only'):
        evaluate(image([[0]]))


def test_number_of_classes_must_agree() -> None:
    network = Network()
    network.num_classes = 19
    with pytest.raises(DataError, match='19 classes.* has 3'):
        evaluate(image([[0]], [[0]]), network=network)


def test_empty_data_set_is_an_error() -> None:
    with pytest.raises(DataError, match='no image'):
        evaluate()


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_nothing_waits_for_the_device() -> None:
    images = [image([[0, 1]], [[0, 255]]) for _ in range(3)]
    network = Network()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        seen = 0
        matrix = ConfusionMatrix(3, device='cuda')
        for batch, pred in predictions(network, images, device='cuda', progress=False):
            matrix.update(pred[0], batch['label'].pin_memory())
            seen += 1
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert seen == 3 and int(matrix.counts.sum()) == 3
