"""The training step as users rely on it: phases, branches, draws, config keys, modes."""
from __future__ import annotations

import pytest
import torch

from mmseg.models.named_losses import Losses
from mmseg.models.uda import Objective
from mmseg.models.uda.step_state import View
from mmseg.registry import OBJECTIVES

from .conftest import make_batch, make_host

THINGS = dict(imnet_feature_dist_lambda=0.005, imnet_feature_dist_classes=[1, 2],
              imnet_feature_dist_scale_min_ratio=0.5, imnet_feature_dist_allow_random=True)


def run(host, wrapper, steps=1, **batch):
    return [{k: v.item() for k, v in host.train_step(make_batch(**batch), wrapper).items()} for _ in range(steps)]


def test_one_backward_per_branch_and_all_log_names(device):
    host, wrapper = make_host(device, **THINGS)
    (log, ) = run(host, wrapper)
    assert wrapper.backwards == 2
    assert set(log) == {'decode.loss_seg', 'decode.acc_seg', 'src.loss_imnet_feat_dist', 'mix.decode.loss_seg',
                        'mix.decode.acc_seg', 'pseudo_weight'}
    assert all(value == value for value in log.values())


def test_source_only_has_no_teacher():
    host, wrapper = make_host(source_only=True)
    (log, ) = run(host, wrapper)
    assert wrapper.backwards == 1
    assert set(log) == {'decode.loss_seg', 'decode.acc_seg'}
    assert set(host.networks()) == {'student'}
    assert not any(name.startswith('ema_model') for name in host.state_dict())


@pytest.mark.parametrize('size,batch,num_classes', [((64, 64), 1, 5), ((64, 96), 3, 2), ((90, 120), 2, 11)])
def test_any_batch_size_crop_and_number_of_classes(device, size, batch, num_classes):
    host, wrapper = make_host(device, num_classes=num_classes, **THINGS)
    for log in run(host, wrapper, 2, size=size, batch=batch, num_classes=num_classes):
        assert all(value == value and abs(value) != float('inf') for value in log.values())


def test_teacher_copies_the_student_first_and_follows_it_then():
    host, wrapper = make_host(alpha=0.99)
    before = [p.detach().clone() for p in host.model.parameters()]
    run(host, wrapper)
    for old, teacher in zip(before, host.ema_model.parameters()):
        assert torch.equal(old, teacher)
    student = [p.detach().clone() for p in host.model.parameters()]
    run(host, wrapper)
    for old, now, teacher in zip(before, student, host.ema_model.parameters()):
        assert torch.equal(teacher, old.mul(0.5).add(now, alpha=0.5))


def test_train_and_eval_leave_teacher_and_frozen_network_alone():
    host, _ = make_host(**THINGS)
    for mode in (True, False):
        host.train(mode)
        assert host.model.training == mode
        norms = [m for m in host.ema_model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        drops = [m for m in host.ema_model.modules() if 'Drop' in type(m).__name__]
        assert norms and all(m.training for m in norms)
        assert drops and not any(m.training for m in drops)
        assert not any(m.training for m in host.imnet_model.modules())


def test_no_gradients_reach_teacher_and_frozen_network():
    host, wrapper = make_host(**THINGS)
    run(host, wrapper)
    for name, parameter in host.named_parameters():
        assert (parameter.grad is not None) == name.startswith('model.'), name


def test_switching_an_objective_on_leaves_every_draw_and_the_first_losses_bit_equal():
    with_fd, wrapper = make_host(**THINGS)
    without, other = make_host()
    (first, ), (second, ) = run(with_fd, wrapper), run(without, other)
    for name, value in second.items():
        assert first[name] == value, name


def test_the_same_iteration_gives_the_same_step_whatever_ran_before():
    logs = {}
    for case, seed, before in (('first', 3, 0), ('after others', 3, 2), ('other seed', 4, 0)):
        host, wrapper = make_host()
        weights = {name: value.clone() for name, value in host.state_dict().items()}
        run(host, wrapper, before)
        host.load_state_dict(weights)
        host.start(seed=seed, rank=0, iteration=7)
        logs[case] = run(host, wrapper)
    assert logs['first'] == logs['after others'] != logs['other seed']


def test_uint8_and_normalised_images_train_the_same():
    batch = make_batch()
    norm = batch['img_metas'][0]['img_norm_cfg']
    mean, std = (torch.tensor(norm[key]).view(1, 3, 1, 1) for key in ('mean', 'std'))
    ready = batch | {name: (batch[name].float() - mean) / std for name in ('img', 'target_img')}
    logs = []
    for data in (batch, ready):
        host, wrapper = make_host()
        logs.append({k: v.item() for k, v in host.train_step(data, wrapper).items()})
    for name in logs[0]:
        assert logs[0][name] == pytest.approx(logs[1][name], rel=1e-4)


def test_a_batch_without_its_list_of_classes_still_mixes():
    host, wrapper = make_host()
    batch = make_batch()
    del batch['classes']
    host.capture = True
    host.train_step(batch, wrapper)
    mask = next(panel.tensor for panel in host.captured if panel.title == 'Source pixels')
    assert mask.any() and not mask.all()


def test_mixed_labels_show_the_source_inside_the_mask_and_pseudo_labels_outside():
    host, wrapper = make_host(pseudo_weight_ignore_top=5, pseudo_weight_ignore_bottom=7)
    host.capture = True
    host.train_step(make_batch(), wrapper)
    panels = {panel.title: panel.tensor for panel in host.captured}
    mask = panels['Source pixels'].bool()
    assert torch.equal(panels['Mixed label'][mask], panels['Source label'][mask])
    assert torch.equal(panels['Mixed label'][~mask], panels['Pseudo label'][~mask])
    assert (panels['Weight'][mask] == 1).all()
    assert (panels['Weight'][:, :5][~mask[:, :5]] == 0).all()
    assert (panels['Weight'][:, -7:][~mask[:, -7:]] == 0).all()


def test_valid_mask_of_the_loader_zeroes_the_pseudo_weight():
    host, wrapper = make_host()
    batch = make_batch()
    batch['valid_pseudo_mask'] = torch.ones(2, 1, 64, 64, dtype=torch.uint8)
    batch['valid_pseudo_mask'][..., :30] = 0
    host.capture = True
    host.train_step(batch, wrapper)
    panels = {panel.title: panel.tensor for panel in host.captured}
    target = ~panels['Source pixels'].bool()
    assert (panels['Weight'][..., :30][target[..., :30]] == 0).all()
    assert (panels['Weight'][..., 30:][target[..., 30:]] > 0).all()


def test_row_margins_and_a_valid_mask_together_are_refused():
    host, wrapper = make_host(pseudo_weight_ignore_top=5)
    batch = make_batch()
    batch['valid_pseudo_mask'] = torch.ones(2, 1, 64, 64, dtype=torch.uint8)
    with pytest.raises(ValueError, match='crop_pseudo_margins'):
        host.train_step(batch, wrapper)


def test_crops_of_different_size_are_refused():
    host, wrapper = make_host()
    batch = make_batch()
    batch['target_img'] = batch['target_img'][..., :32]
    with pytest.raises(ValueError, match='same size'):
        host.train_step(batch, wrapper)


@pytest.mark.parametrize('uda,message', [
    (dict(alhpa=0.9), "did you mean 'alpha'"),
    (dict(alpha=1.5), r'\[0, 1\]'),
    (dict(mix='cut'), 'ClassMix'),
    (dict(instance_bank=dict(wieght=1.0)), "did you mean 'weight'"),
    (dict(imnet_feature_dist_lambda=0.005), 'model.pretrained'),
    (dict(imnet_feature_dist_lambda=0.005, imnet_feature_dist_classes=[1], imnet_feature_dist_allow_random=True),
     'imnet_feature_dist_scale_min_ratio'),
    (dict(color_jitter_strength=dict(brightnes=0.2)), 'brightnes'),
])
def test_bad_keys_and_values_are_named(uda, message):
    with pytest.raises(Exception, match=message):
        make_host(**uda)


def test_asking_for_pseudo_labels_before_their_phase_is_an_error():

    class Early(Objective):
        name, joins, keys = 'early', 'source', dict(early=None)

        @classmethod
        def from_config(cls, uda, host):
            return cls() if uda['early'] else None

        def losses(self, step, view, features, decoded):
            return Losses(logged={'early': step.pseudo.confident})

    OBJECTIVES.register_module(module=Early)
    try:
        host, wrapper = make_host(early=True)
        with pytest.raises(RuntimeError, match='phase 3'):
            host.train_step(make_batch(), wrapper)
    finally:
        OBJECTIVES.module_dict.pop('Early')


def test_an_objective_of_ones_own_opens_a_branch_and_owns_parameters():

    class Blackout(Objective):
        name, opens, keys = 'blackout', 'dark', dict(blackout=None)

        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        @classmethod
        def from_config(cls, uda, host):
            return cls() if uda['blackout'] else None

        def view(self, step):
            return View(step.target_img * 0, step.pseudo.label, step.pseudo.weight)

        def losses(self, step, view, features, decoded):
            return Losses({'dark.scale': self.scale**2})

    OBJECTIVES.register_module(module=Blackout)
    try:
        host, wrapper = make_host(blackout=True)
        log = host.train_step(make_batch(), wrapper)
        assert wrapper.backwards == 3
        assert {'dark.decode.loss_seg', 'dark.scale'} <= set(log)
        assert 'blackout.scale' in host.state_dict()
        assert host.blackout.scale.grad is not None
    finally:
        OBJECTIVES.module_dict.pop('Blackout')
