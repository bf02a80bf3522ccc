"""Is my run healthy: what is warned about, what is not, and what a lost loss leaves behind."""
from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from mmseg.engine.health_hook import STUCK_REPORTS, HealthHook
from mmseg.engine.optim import StepWrapper
from mmseg.engine.schedule import LearningRate
from mmseg.errors import NonFiniteLoss
from mmseg.models.named_losses import Losses
from mmseg.models.segmentors import EncoderDecoder
from mmseg.report.logs import read_log
from tests.engine.tiny import tiny_config, train

TOY = Path(__file__).parents[2] / 'docs' / 'logs' / 'toy'


def hook(threshold: float | None = 0.968) -> HealthHook:
    return HealthHook(LearningRate(None, 1000), threshold)


def problems(found: Iterable[tuple[str, str]]) -> list[str]:
    return [text for _, text in found]


def weights(value: float, progress: float = 0.5, threshold: float | None = 0.968, times: int = STUCK_REPORTS) -> str:
    watch = hook(threshold)
    told = [text for _ in range(times) for text in problems(watch.pseudo_labels({'pseudo_weight': value}, progress))]
    return ''.join(told)


def test_a_pseudo_label_weight_that_stays_at_0_or_1_has_a_cause_and_a_remedy() -> None:
    for value, word in ((0., 'stays at 0'), (1., 'stays at 1')):
        text = weights(value)
        assert word in text and 'Cause:' in text and 'Remedy:' in text and '0.968' in text
        assert not weights(value, times=STUCK_REPORTS - 1)
    assert not weights(0.5) and not weights(0., progress=0.01)
    assert not weights(1., threshold=None)  # every pixel is trusted on purpose


def test_one_report_in_between_ends_the_row() -> None:
    watch = hook()
    for _ in range(STUCK_REPORTS - 1):
        assert not problems(watch.pseudo_labels({'pseudo_weight': 0.}, 0.5))
    assert not problems(watch.pseudo_labels({'pseudo_weight': 0.2}, 0.5))
    assert not problems(watch.pseudo_labels({'pseudo_weight': 0.}, 0.5))


def test_a_class_that_collapses_is_named_with_its_best() -> None:
    watch = hook()
    assert not problems(watch.classes({'mIoU': 0.6, 'IoU.train': 0.5, 'IoU.bus': 0.05}, 100))
    [text] = problems(watch.classes({'mIoU': 0.1, 'IoU.train': 0.1, 'IoU.bus': 0.0}, 200))
    assert text.startswith('health: IoU.train has fallen to 0.100; its best was 0.500, at iteration 100')


def warnings_of(run: str) -> list[str]:
    """What the hook would have said about a run of the built-in benchmark."""
    log, watch = read_log(TOY / f'{run}.log.json'), hook()
    last = max(log.train)
    found = [text for step, values in log.train.items() for text in problems(watch.pseudo_labels(values, step / last))]
    return found + [text for step, values in log.val.items() for text in problems(watch.classes(values, step))]


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('method', ['dacs', 'daformer', 'oracle'])
def test_healthy_runs_of_the_benchmark_give_no_warning(method: str, seed: int) -> None:
    assert not warnings_of(f'{method}_s{seed}')


def test_a_run_without_adaptation_that_loses_the_sky_says_so() -> None:
    assert any(text.startswith('health: IoU.sky has fallen to 0.142') for text in warnings_of('source_only_s0'))


def test_a_rate_off_the_schedule_is_found_and_told_once(images, tmp_path, monkeypatch) -> None:
    original = StepWrapper.step

    def step(self: StepWrapper) -> None:
        original(self)
        self.optimizer.param_groups[-1]['lr'] = 0.5

    monkeypatch.setattr(StepWrapper, 'step', step)
    train(tiny_config(images, tmp_path / 'run', 3))
    text = next((tmp_path / 'run').glob('*.log')).read_text()
    assert text.count('health: the learning rate of ') == 1 and 'is 0.5 at iteration 1, where lr_config says' in text


def test_a_healthy_run_says_nothing(images, tmp_path) -> None:
    train(tiny_config(images, tmp_path / 'run', 4, uda=dict(type='DACS', pseudo_threshold=0.3),
                      evaluation=dict(interval=2)))
    assert 'health:' not in next((tmp_path / 'run').glob('*.log')).read_text()


def poison(monkeypatch: pytest.MonkeyPatch, place: tuple[int, int]) -> None:
    """From the given (iteration, part) on the loss of the plain segmentor is NaN, for one step."""
    original = EncoderDecoder.losses

    def losses(self: EncoderDecoder, *args: object) -> Losses:
        values = original(self, *args)
        if (self.iteration, self.part) == place:
            return values.scaled(math.nan)
        return values

    monkeypatch.setattr(EncoderDecoder, 'losses', losses)


@pytest.mark.parametrize('interval, saves', [(5, 10), (10, 5)], ids=['at the log line', 'at the checkpoint'])
def test_a_lost_loss_is_traced_to_its_batch(images, tmp_path, monkeypatch, interval, saves) -> None:
    poison(monkeypatch, (6, 1))
    cfg = tiny_config(images, tmp_path / 'run', 20, log_config=dict(interval=interval), data=dict(samples_per_gpu=1),
                      optimizer_config=dict(accumulate=2), checkpoint_config=dict(interval=saves, max_keep_ckpts=-1))
    message = (r'stopped at iteration 10, because in iteration 7 decode.loss_seg = nan. Its batch is in '
               r'.*lost_iter_7_process_0.pth, made of .*\.png, .*\.png')
    with pytest.raises(NonFiniteLoss, match=message) as lost:
        train(cfg)
    kept = torch.load(tmp_path / 'run' / 'lost_iter_7_process_0.pth', weights_only=True)
    assert kept['iteration'] == 6 and math.isnan(kept['losses']['decode.loss_seg'])
    assert [batch['img'].shape for batch in kept['batches']] == [(1, 3, 32, 32)] * 2
    for batch in kept['batches']:
        assert batch['img_metas'][0]['filename'] in str(lost.value)
    saved = sorted((tmp_path / 'run').glob('iter_*.pth'))
    assert [path.name for path in saved] == ([] if saves == 10 else ['iter_5.pth'])
    assert all(torch.load(path, weights_only=True)['state_dict']['backbone.norm1.weight'].isfinite().all()
               for path in saved)
    lines = [json.loads(line) for line in next((tmp_path / 'run').glob('*.log.json')).read_text().splitlines()]
    assert [line['iter'] for line in lines[1:]][:1] == [interval]


def test_a_batch_that_cannot_be_kept_hides_nothing(images, tmp_path, monkeypatch) -> None:
    poison(monkeypatch, (0, 0))

    def full(*_: object) -> None:
        raise OSError('No space left on device')

    monkeypatch.setattr('mmseg.engine.health_hook.torch.save', full)
    with pytest.raises(NonFiniteLoss, match='decode.loss_seg = nan. Its batch could not be kept .No space left'):
        train(tiny_config(images, tmp_path / 'run', 1))
