"""Hidden and rebuilt feature maps: sizes, what changes and what does not, the layouts of real encoders."""
from __future__ import annotations

import math

import pytest
import torch

from mmseg.models import build_segmentor
from mmseg.models.uda.masked_representation import draw_kept_cells
from mmseg.models.uda.rebuilder import HiddenCells, Level, Rebuilder, feature_layout, sine_positions
from tests.models import nets

MIT_B5 = [Level(64, 4), Level(128, 8), Level(320, 16), Level(512, 32)]
RESNET_101 = [Level(256, 4), Level(512, 8), Level(1024, 8), Level(2048, 8)]
SMALL = [Level(3, 4), Level(4, 8), Level(5, 16), Level(6, 32)]
TINY = dict(dim=16, depth=1, heads=2)


def make_maps(layout, size=(128, 128), batch=2, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, level.channels, *(math.ceil(side / level.stride) for side in size),
                        generator=generator, **options) for level in layout]


def make_keep(grid=(4, 4), batch=2, ratio=0.4, seed=0):
    return draw_kept_cells(batch, grid, ratio, torch.Generator().manual_seed(seed))


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_of_the_published_networks():
    rebuilder = Rebuilder(MIT_B5, range(4))
    assert count(rebuilder) == 14_545_280
    assert count(rebuilder.embed) == 262_656
    assert count(rebuilder.blocks) + count(rebuilder.norm) + rebuilder.mask_token.numel() == 6_306_304
    assert [count(p) for p in rebuilder.projectors.values()] == [2_893_248, 2_639_104, 2_180_288, 263_680]
    assert count(Rebuilder(RESNET_101, [-1])) == 10_246_016
    assert count(Rebuilder(MIT_B5, range(4), (16, 16), (512, 512))) == 14_545_280


@pytest.mark.parametrize('size, grid', [
    ((512, 512), (16, 16)), ((128, 128), (4, 4)), ((512, 1024), (16, 32)), ((90, 70), (3, 3)), ((33, 32), (2, 1))])
@pytest.mark.parametrize('layout, read', [(SMALL, range(4)), ([Level(2, 4), Level(3, 8), Level(6, 8)], [2])])
def test_any_size_and_its_automatic_grid(size, grid, layout, read):
    rebuilder = Rebuilder(layout, read, **TINY)
    maps = make_maps(layout, size, batch=1)
    assert rebuilder.grid_of(maps) == grid
    rebuilt = rebuilder(maps, make_keep(grid, 1, ratio=1.))
    assert [x.shape for x in rebuilt] == [x.shape for x in maps]
    assert [torch.equal(a, b) for a, b in zip(maps, rebuilt)] == [i not in read for i in range(len(maps))]


def test_keeping_all_cells_changes_nothing_and_teaches_nothing():
    rebuilder, maps = Rebuilder(SMALL, range(4), **TINY), make_maps(SMALL)
    rebuilt = rebuilder(maps, make_keep(ratio=0.))
    assert all(torch.equal(a, b) for a, b in zip(maps, rebuilt))
    sum(x.square().sum() for x in rebuilt).backward()
    assert all((p.grad == 0).all() for p in rebuilder.parameters())


def test_hiding_all_cells_leaves_nothing_of_the_input():
    rebuilder = Rebuilder(SMALL, range(4), **TINY)
    maps, others, keep = make_maps(SMALL, requires_grad=True), make_maps(SMALL, seed=1), make_keep(ratio=1.)
    rebuilt = rebuilder(maps, keep)
    assert all(torch.equal(a, b) for a, b in zip(rebuilt, rebuilder(others, keep)))
    sum(x.square().sum() for x in rebuilt).backward()
    assert all((x.grad == 0).all() for x in maps)


@pytest.mark.parametrize('kind', [HiddenCells, Rebuilder])
def test_kept_cells_are_bit_equal_and_hidden_ones_are_the_contents_in_the_same_blocks(kind):
    module = kind(SMALL, range(4), **(TINY if kind is Rebuilder else {}))
    maps, keep = make_maps(SMALL), make_keep()
    assert keep.any() and not keep.all()
    contents = module.contents(maps, keep)
    for index, (before, after) in enumerate(zip(maps, module(maps, keep))):
        block = before.shape[-1] // 4
        kept = keep.repeat_interleave(block, 2).repeat_interleave(block, 3).expand_as(before)
        assert torch.equal(after[kept], before[kept])
        assert torch.equal(after[~kept], contents[index].expand_as(before)[~kept])
        assert (after[~kept] != before[~kept]).all()
        if kind is HiddenCells:
            assert (after[~kept] == 0).all()


def test_what_is_hidden_is_not_seen():
    rebuilder, keep = Rebuilder(SMALL, range(4), **TINY), make_keep(batch=1)
    maps, others = make_maps(SMALL, batch=1), make_maps(SMALL, batch=1)
    others[-1] = torch.where(keep, others[-1], 100.)
    for mine, theirs in zip(rebuilder.contents(maps, keep).values(), rebuilder.contents(others, keep).values()):
        assert torch.equal(mine, theirs)


def test_gradients_reach_input_and_parameters():
    rebuilder, maps = Rebuilder(SMALL, range(4), **TINY), make_maps(SMALL, requires_grad=True)
    target = make_maps(SMALL, seed=1)
    sum((x - y).square().sum() for x, y in zip(rebuilder(maps, make_keep()), target)).backward()
    assert all(x.grad.any() for x in maps)
    assert all(p.grad.any() for p in rebuilder.parameters())


def test_masked_fraction_and_seeded_masks():
    generator = torch.Generator().manual_seed(0)
    hidden = sum((~draw_kept_cells(2, (16, 16), 0.4, generator)).sum().item() for _ in range(1000))
    assert hidden / (2000 * 256) == pytest.approx(0.4, abs=0.002)
    masks = make_keep((16, 16))
    assert torch.equal(masks, make_keep((16, 16))) and not torch.equal(masks, make_keep((16, 16), seed=1))
    assert not torch.equal(masks[0], masks[1])


def test_norms_of_maps_have_the_eps_of_the_published_rebuilder_those_of_tokens_that_of_torch():
    rebuilder = Rebuilder([Level(8, 4), Level(16, 32)], [0, 1], dim=16, heads=2)
    eps = {name: module.eps for name, module in rebuilder.named_modules() if isinstance(module, torch.nn.LayerNorm)}
    assert {value for name, value in eps.items() if name.startswith('projectors')} == {1e-6}
    assert {value for name, value in eps.items() if not name.startswith('projectors')} == {1e-5}


def test_position_codes_tell_row_then_column():
    table = sine_positions((2, 3), 8, torch.device('cpu')).view(2, 3, 8)
    for row in range(2):
        for column in range(3):
            expected = [f(p / 100**k) for p in (row, column) for f in (math.sin, math.cos) for k in range(2)]
            torch.testing.assert_close(table[row, column], torch.tensor(expected))


@pytest.mark.parametrize('grid, doublings', [((16, 16), 2), ((8, 8), 3), ((64, 64), 0), ((12, 12), 3), ((32, 16), 2)])
def test_a_grid_of_ones_own_has_chains_of_the_next_power_of_two(grid, doublings):
    layout = [Level(4, 8)]
    rebuilder = Rebuilder(layout, [0], grid, (512, 512), **TINY)
    chain = rebuilder.projectors['0']
    assert sum(isinstance(layer, torch.nn.ConvTranspose2d) for layer in chain) == doublings
    [rebuilt] = rebuilder(make_maps(layout, (512, 512), batch=1), make_keep(grid, 1))
    assert rebuilt.shape == (1, 4, 64, 64)


def test_the_mask_is_nearest_where_cells_do_not_divide_the_map():
    rebuilder, keep = HiddenCells([Level(1, 8)], [0], (3, 2)), torch.tensor([[[[1, 0], [0, 1], [1, 1]]]]).bool()
    [hidden] = rebuilder([torch.ones(1, 1, 8, 5)], keep)
    rows, columns = [r * 3 // 8 for r in range(8)], [c * 2 // 5 for c in range(5)]
    assert torch.equal(hidden[0, 0], keep[0, 0][rows][:, columns].float())


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r'32 x 32 cells are finer than the map of 16 x 16'):
        module = HiddenCells(SMALL, range(4), (32, 32))
        module.grid_of(make_maps(SMALL, (512, 512), 1))
    for grid in ('atuo', 16, (16, ), (0, 4), (4., 4.)):
        with pytest.raises(ValueError, match=r"use 'auto' or \(rows, columns\)"):
            HiddenCells(SMALL, range(4), grid)
    with pytest.raises(ValueError, match='multiple of 4 .* and of heads=5'):
        Rebuilder(SMALL, range(4), dim=16, heads=5)


def dilated_resnet(**head):
    backbone = dict(type='ResNetV1c', depth=18, base_channels=4, stem_channels=4, strides=(1, 2, 1, 1),
                    dilations=(1, 1, 2, 4))
    return dict(backbone=backbone, decode_head=dict(num_classes=3, **head))


@pytest.mark.parametrize('config, layout, read', [
    ({}, [(8, 4), (16, 8), (24, 16), (32, 32)], {0, 1, 2, 3}),
    (dilated_resnet(type='DLV2Head', in_channels=32, in_index=3), [(4, 4), (8, 8), (16, 8), (32, 8)], {3}),
    (dilated_resnet(type='DepthwiseSeparableASPPHead', in_channels=32, in_index=3, channels=8, c1_in_channels=4,
                    c1_channels=4, norm_cfg=None), [(4, 4), (8, 8), (16, 8), (32, 8)], {0, 3}),
    (dict(auxiliary_head=dict(type='FCNHead', in_channels=16, in_index=2, channels=8, num_classes=3),
          **dilated_resnet(type='DLV2Head', in_channels=32, in_index=-1)), [(4, 4), (8, 8), (16, 8), (32, 8)], {2, 3}),
    (dict(neck=dict(type='SegFormerAdapter', out_layers=(2, 3), scales=(2, 4)),
          decode_head=dict(type='DLV2Head', in_channels=56, in_index=3, num_classes=3)),
     [(8, 4), (16, 8), (24, 16), (56, 8)], {3}),
    (dict(backbone=dict(type='TIMMBackbone', model_name='test_convnext'), decode_head=dict(
        nets.head(), in_channels=[24, 32, 48, 64])), [(24, 4), (32, 8), (48, 16), (64, 32)], {0, 1, 2, 3}),
], ids=['mit', 'dlv2', 'dlv3plus', 'auxiliary', 'neck', 'timm'])
def test_layouts_of_real_encoders(config, layout, read):
    segmentor = build_segmentor({'type': 'EncoderDecoder', 'backbone': nets.backbone(), 'decode_head': nets.head(),
                                 **config})
    state = {name: value.clone() for name, value in segmentor.state_dict().items()}
    assert feature_layout(segmentor) == layout
    assert segmentor.training and all(torch.equal(state[k], v) for k, v in segmentor.state_dict().items())
    module = Rebuilder(feature_layout(segmentor), segmentor.levels_read, **TINY)
    assert set(module.read) == read
    features = segmentor.encode(torch.randn(1, 3, 64, 96))
    grid = module.grid_of(features.maps)
    assert grid == (2, 3)
    rebuilt = module(features.maps, make_keep(grid, 1))
    assert segmentor.decode(features.replace(rebuilt)).logits.isfinite().all()


@pytest.mark.parametrize('scales', [[1, 0.5], [0.75], [1, 0.25]])
def test_layout_of_hrda_is_that_of_one_scale(scales):
    crop = dict(hr_crop_size=(64, 64) if len(scales) == 2 else None, feature_scale=scales[-1])
    segmentor = nets.hrda(scales=scales, **crop)
    assert feature_layout(segmentor) == [(8, 4), (16, 8), (24, 16), (32, 32)]
    assert set(segmentor.levels_read) == {0, 1, 2, 3}
