"""MRM in the training step as users rely on it: what it adds, what it leaves alone, views, statistics, messages."""
from __future__ import annotations

import copy
from functools import partial

import pytest
import torch

from mmseg.checkpoint.networks import segmentor_state
from mmseg.engine.optim import build_optimizer
from mmseg.models import build_train_model
from mmseg.models.segmentors.results import Features
from tests.models import nets

from .base_objective import ObjectiveTests
from .conftest import make_batch, make_host, model_config

TINY = dict(dim=16, depth=1, heads=2)
OPTIONS = ('weight', 'mask_ratio', 'grid', 'heads', 'view', 'aux_bn', 'rebuild', 'mask_ration')
MIC = dict(mask_mode='separatetrg', mask_lambda=1,
           mask_generator=dict(type='block', mask_ratio=0.7, mask_block_size=16))
DLV2 = dict(
    type='EncoderDecoder',
    backbone=dict(type='ResNetV1c', depth=18, base_channels=4, stem_channels=4, strides=(1, 2, 1, 1),
                  dilations=(1, 1, 2, 4)),
    decode_head=dict(type='DLV2Head', in_channels=32, in_index=3, num_classes=5, dilations=(6, 12)))
NETWORKS = [model_config(), DLV2, nets.hrda_config()]
VIEWS = dict(target={}, mix=dict(view='mix'), masked=dict(view='masked'))
PREFIXES = dict(target='target.', mix='mix.mrm.', masked='masked.mrm.')


class TestTargetView(ObjectiveTests):
    uda = dict(mrm=TINY)
    off = dict(mrm=dict(TINY, weight=0))
    trained, logged = {'target.decode.loss_seg'}, {'target.decode.acc_seg'}


class TestMixView(ObjectiveTests):
    uda = dict(mrm=dict(TINY, view='mix'))
    off = dict(mrm=dict(TINY, view='mix', weight=0))
    trained, logged = {'mix.mrm.decode.loss_seg'}, {'mix.mrm.decode.acc_seg'}


class TestMaskedView(ObjectiveTests):
    host = MIC
    uda = dict(mrm=dict(TINY, view='masked'))
    off = dict(mrm=dict(TINY, view='masked', weight=0))
    trained, logged = {'masked.mrm.decode.loss_seg'}, {'masked.mrm.decode.acc_seg'}


def mrm(device='cpu', model=None, **options):
    """A host with MRM; ``options`` are MRM's or the host's."""
    own = {key: options.pop(key) for key in OPTIONS if key in options}
    return make_host(device, model=copy.deepcopy(model), mrm={**TINY, **own}, **options)


def gradients(module):
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


def states(host, wrapper, steps=3, **batch):
    """Logs of some steps and the student after them."""
    logs = [host.train_step(make_batch(seed=i, **batch), wrapper) for i in range(steps)]
    return logs, {name: value.clone() for name, value in host.model.state_dict().items()}


# what it adds


@pytest.mark.parametrize('model', NETWORKS, ids=['mit', 'dlv2', 'hrda'])
@pytest.mark.parametrize('view', VIEWS)
def test_encoder_decoder_and_rebuilder_learn_the_teacher_does_not(device, model, view):
    host, wrapper = mrm(device, model, **VIEWS[view], **(MIC if view == 'masked' else {}))
    log = host.train_step(make_batch(size=(128, 192)), wrapper)
    assert wrapper.backwards == (4 if view == 'masked' else 3)
    assert {f'{PREFIXES[view]}decode.loss_seg', f'{PREFIXES[view]}decode.acc_seg'} <= log.keys()
    assert all(value.isfinite() for value in log.values())
    assert all(p.grad.any() for p in host.mrm.parameters())
    assert all(p.grad is None for p in host.ema_model.parameters())


@pytest.mark.parametrize('model', NETWORKS, ids=['mit', 'dlv2', 'hrda'])
def test_its_own_branch_alone_teaches_encoder_and_decoder(model):
    host, wrapper = mrm(model=model)
    step = prepared(host, wrapper, size=(128, 192))
    host.branches['target'].run(step, wrapper)
    for part in (host.model.backbone, host.model.decode_head, host.mrm.rebuilder):
        assert any(grad.any() for grad in gradients(part).values())
    assert not gradients(host.ema_model)
    assert torch.equal(step.seen['target'].img, step.target_img)
    assert torch.equal(step.seen['target'].label, step.pseudo.label)
    assert torch.equal(step.seen['target'].weight, step.pseudo.weight)


@pytest.mark.parametrize('size, batch, num_classes', [((64, 128), 1, 5), ((90, 70), 3, 2)])
@pytest.mark.parametrize('view', VIEWS)
def test_any_crop_batch_and_number_of_classes(device, size, batch, num_classes, view):
    uda = MIC if view == 'masked' else {}
    host, wrapper = make_host(device, num_classes, mrm={**TINY, **VIEWS[view]}, **uda)
    logs, _ = states(host, wrapper, 2, size=size, batch=batch, num_classes=num_classes)
    assert all(value.isfinite() for log in logs for value in log.values())


def test_the_rebuilder_has_a_learning_rate_of_its_own():
    host, _ = mrm()
    rules = dict(head=dict(lr_mult=10.), norm=dict(decay_mult=0.))
    groups = build_optimizer(host, dict(type='AdamW', lr=6e-5, weight_decay=0.01,
                                        paramwise_cfg=dict(custom_keys=rules))).param_groups
    mine = [group for group in groups if any(name.startswith('mrm.') for name in group['names'])]
    assert all(name.startswith('mrm.') for group in mine for name in group['names'])
    assert sum(len(group['params']) for group in mine) == len(list(host.mrm.parameters()))
    assert {group['initial_lr'] for group in mine} == {2e-4}
    assert {(group['weight_decay'], 'norm' in name) for group in mine for name in group['names']} == {
        (0.01, False), (0., True)}


def test_rebuilding_tells_more_than_hiding():
    """With a trained student held fixed, rebuilt cells are classified better than empty ones."""
    host, _ = mrm()
    model, batch = host.model.train(), make_batch()
    img, label = batch['img'].float() / 128 - 1, batch['gt_semantic_seg'].long().squeeze(1)
    for module in model.modules():  # no randomness but the hidden cells
        if type(module).__name__ in ('DropPath', 'Dropout2d'):
            module.eval()

    def train(parameters, loss, steps):
        optimizer = torch.optim.AdamW(parameters, lr=3e-3)
        for _ in range(steps):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()

    train(model.parameters(), lambda: model.loss(img, label)['decode.loss_seg'], 40)
    with torch.no_grad():
        features = model.encode(img)
    keep = torch.tensor([[1, 0], [0, 1]]).bool().expand(2, 1, 2, 2)
    decoded = partial(model.losses, label=label)
    hidden, _ = mrm(rebuild=False)
    empty = hidden.mrm.rebuilder(features.maps, keep)
    baseline = decoded(model.decode(features.replace(empty)))['decode.loss_seg']

    def loss():
        return decoded(model.decode(features.replace(host.mrm.rebuilder(features.maps, keep))))['decode.loss_seg']

    train(host.mrm.parameters(), loss, 40)
    assert loss() < 0.8 * baseline


# what it leaves alone


def test_pseudo_labels_without_weight_give_no_gradient():
    host, wrapper = mrm(pseudo_threshold=1.)
    step = prepared(host, wrapper)
    assert (step.pseudo.weight == 0).all()
    host.branches['target'].run(step, wrapper)
    found = gradients(host)
    assert found and all((grad == 0).all() for grad in found.values())


def test_the_factor_scales_every_loss_and_no_accuracy():
    logs = [states(*mrm(model=nets.hrda_config(), weight=weight), 1, size=(128, 192))[0][0] for weight in (1, 0.5)]
    names = [name for name in logs[0] if name.startswith('target.')]
    assert len(names) == 4
    for name in names:
        factor = 0.5 if 'loss' in name else 1
        assert logs[1][name] == factor * logs[0][name]


@pytest.mark.parametrize('model', NETWORKS[:2], ids=['mit', 'dlv2'])
@pytest.mark.parametrize('view, aux_bn', [('target', 'frozen'), ('target', 'update'), ('mix', 'frozen'),
                                          ('mix', 'update')])
def test_running_statistics_move_with_update_only(model, view, aux_bn):
    _, student = states(*mrm(model=model, view=view, aux_bn=aux_bn), 1)
    _, plain = states(*make_host(model=copy.deepcopy(model)), 1)
    running = [name for name in plain if name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))]
    assert running
    for name in running:
        moved = aux_bn == 'update' and (view == 'target' or name.startswith('decode_head'))
        assert torch.equal(student[name], plain[name]) != moved, name
        if name.endswith('num_batches_tracked'):
            assert student[name] == plain[name] + moved


@pytest.mark.parametrize('aux_bn', ['frozen', 'update'])
def test_both_normalise_with_the_batch(aux_bn):
    logs = [states(*mrm(aux_bn=choice), 1)[0][0] for choice in ('frozen', aux_bn)]
    assert torch.equal(logs[0]['target.decode.loss_seg'], logs[1]['target.decode.loss_seg'])


def test_it_is_not_in_any_network():
    host, wrapper = mrm(imnet_feature_dist_lambda=0.005, imnet_feature_dist_allow_random=True)
    states(host, wrapper, 2)
    plain, _ = make_host(imnet_feature_dist_lambda=0.005, imnet_feature_dist_allow_random=True)
    state = host.state_dict()
    assert {name for name in state if not name.startswith('mrm.rebuilder.')} == set(plain.state_dict())
    for network in ('model', 'ema_model'):
        assert segmentor_state(dict(state_dict=state), network).keys() == plain.model.state_dict().keys()
    bare, _ = make_host()
    bare.model.load_state_dict(segmentor_state(dict(state_dict=state)))
    img = torch.randn(1, 3, 64, 64)
    assert torch.equal(bare.eval().encode_decode(img), host.eval().encode_decode(img))


# staged branches


def prepared(host, wrapper, **batch):
    """The state of a step whose mixed images are made."""
    step = host.begin(make_batch(**batch), wrapper)
    step.pseudo = host.pseudo_labels(step)
    step.mix_mask, step.mix = host.mixed(step)
    return step


def joint(host, branch, view, step):
    """One backward of all losses of a branch whose features are decoded twice."""
    torch.manual_seed(step.draws.integer(f'{branch.name} branch'))
    box = host.model.draw_box(view.img.shape[-2:], step.draws.numpy(f'{branch.name} crop box'))
    features = host.model.encode(view.img, box)
    losses = host.model.losses(host.model.decode(features), view.label, view.weight)
    again = host.model.losses(host.model.decode(host.mrm.rebuild(step, features)), view.label, view.weight)
    (losses.total() + again.total()).backward()


@pytest.mark.parametrize('model', NETWORKS, ids=['mit', 'dlv2', 'hrda'])
@pytest.mark.parametrize('view', ['mix', 'masked'])
def test_gradients_of_a_staged_branch_are_those_of_the_joint_backward(model, view):
    found = []
    for staged in (True, False):
        host, wrapper = mrm(model=model, view=view, aux_bn='update', **MIC)
        step = prepared(host, wrapper, size=(128, 192))
        branch = host.branches[view]
        branch.run(step, wrapper) if staged else joint(host, branch, branch.view(step), step)
        found.append({**gradients(host.model), **gradients(host.mrm)})
    assert found[0].keys() == found[1].keys()
    for name, grad in found[0].items():
        assert (grad - found[1][name]).abs().max() <= 1e-6 * max(1., grad.abs().max()), name


def test_decoder_graphs_follow_each_other(monkeypatch):
    host, wrapper = mrm(view='mix')
    backwards, leaves = [], []
    decode, cut = host.model.decode, Features.cut
    monkeypatch.setattr(Features, 'cut', lambda self: leaves.append(cut(self)) or leaves[-1])
    monkeypatch.setattr(host.model, 'decode', lambda features: backwards.append(
        (wrapper.backwards, [x.grad is not None for x in leaves[0].maps] if leaves else None)) or decode(features))
    host.train_step(make_batch(), wrapper)
    assert backwards == [(0, None), (1, [False] * 4), (2, [True] * 4)]


def test_view_mix_leaves_the_plain_losses_of_the_mix_branch_alone():
    # the first step only: later the student is another one
    log, plain = states(*mrm(view='mix'), 1)[0][0], states(*make_host(), 1)[0][0]
    assert all(torch.equal(log[name], value) for name, value in plain.items())


# the rest


@pytest.mark.parametrize('ratio, equal', [(0., True), (1., False)])
def test_ratio_0_classifies_the_features_themselves(ratio, equal):
    host, wrapper = mrm(mask_ratio=ratio)
    step = prepared(host, wrapper)
    features = host.model.encode(step.target_img)
    rebuilt = host.mrm.rebuild(step, features)
    assert all(torch.equal(a, b) == equal for a, b in zip(features.maps, rebuilt.maps))


def test_scales_of_hrda_have_masks_of_their_own():
    host, wrapper = mrm(model=nets.hrda_config(), rebuild=False)
    step = prepared(host, wrapper, size=(128, 128))
    features = host.model.encode(step.target_img, (0, 64, 0, 64))
    hidden = [(x == 0).all(dim=1) for x in host.mrm.rebuild(step, features).maps]
    context, detail = hidden[:4], hidden[4:]
    assert context[3].shape == detail[3].shape == (2, 2, 2)
    assert not torch.equal(context[3], detail[3])
    for scale in (context, detail):
        for index in range(3):
            size = 2 ** (3 - index)
            assert torch.equal(scale[index], scale[3].repeat_interleave(size, 1).repeat_interleave(size, 2))


def test_masks_depend_on_seed_and_iteration_alone():
    host, wrapper = mrm(lr=0.)
    masks = []
    for start in (0, 1, 0):
        host.start(3, 0, start)
        step = prepared(host, wrapper, size=(256, 256))
        host.mrm.rebuild(step, host.model.encode(step.target_img))
        masks.append(step.notes[0].tensor)
    assert torch.equal(masks[0], masks[2]) and not torch.equal(masks[0], masks[1])


def test_a_grid_of_ones_own_is_made_for_the_crops_of_the_config():
    host, _ = mrm(model=DLV2, grid=(4, 4))
    assert host.crop_size is None and len([n for n in host.mrm.state_dict() if 'deconv' in n]) == 4
    pipeline = [dict(type='RandomCrop', crop_size=(256, 256))]
    for train, doublings in ((dict(target=dict(pipeline=pipeline)), 3), ([], 2),
                             (dict(target=dict(pipeline=pipeline), sync_crop_size=(64, 64)), 1)):
        built = build_train_model(dict(model=copy.deepcopy(DLV2), runner=dict(max_iters=1), data=dict(train=train),
                                       uda=dict(type='DACS', mrm=dict(TINY, grid=(4, 4)))))
        assert len([n for n in built.mrm.state_dict() if 'deconv' in n]) == 2 * doublings


def test_panels_show_what_was_rebuilt():
    host, wrapper = mrm()
    host.capture = True
    host.train_step(make_batch(), wrapper)
    titles = [panel.title for panel in host.captured]
    assert titles.count('Target') == 1 and titles[-1] == 'Rebuilt cells'


@pytest.mark.parametrize('options, message', [
    (dict(view='mixed'), r"uda.mrm.view='mixed': did you mean 'mix'"),
    (dict(view='masked'), 'uda.mask_mode'),
    (dict(aux_bn='frozn'), "uda.mrm.aux_bn='frozn': did you mean 'frozen'"),
    (dict(mask_ratio=1.5), r'uda.mrm.mask_ratio=1.5: .* \[0, 1\]'),
    (dict(grid=16), r'uda.mrm.grid=16: use .* e.g. \(16, 16\)'),
    (dict(heads=3), 'uda.mrm.dim=16 must be a multiple .* heads=3'),
    (dict(source_only=True), 'source_only'),
    (dict(mask_ration=0.4), "did you mean 'mask_ratio'"),
])
def test_mistakes_are_named(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        mrm(**options)


def test_a_grid_that_is_finer_than_the_maps_is_refused():
    host, wrapper = mrm(grid=(4, 4))
    with pytest.raises(ValueError, match='uda.mrm.grid=.*4 x 4 cells are finer than the map of 2 x 2'):
        host.train_step(make_batch(), wrapper)
