"""Configs of DIDA and EBDA, whose losses stood in their programs' code: how they are recognised and what is said."""
from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from mmseg.config.in_code import IN_CODE, IN_SYNTHIA, MethodInCodeWarning
from mmseg.config.reading import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'
DAFORMER = CONFIGS / 'daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py'
ACDC = 'cs2acdc_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0'
GTA, SYNTHIA = 'GTADataset', 'SynthiaDataset'
LOGIT_CONSTRAINT = dict(model=load_config(DAFORMER).model.to_dict())
LOGIT_CONSTRAINT['model']['decode_head']['loss_decode'] = dict(type='LogitConstraintLoss', loss_weight=1.0)
DIDA_RUN = '221213_1011_gta2cs_dacs_a999_fdthings_rcs001_cpl_daformer_sepaspp_mitb5_poly10warm_s0_6e7fa'


def content(source: str = GTA, uda: dict[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
    data = dict(train=dict(type='UDADataset', source=dict(type=source, img_dir='images', pipeline=[]),
                           target=dict(type='CityscapesDataset', img_dir='images', pipeline=[])))
    return dict(data=dict(data, **sections.pop('data', {})), uda=dict(type='DACS', **(uda or {})), **sections)


def load(folder: Path, sections: dict[str, Any], name: str = 'config') -> list[str]:
    """Load a config and return what was said about its method."""
    path = folder / f'{name}.json'
    path.write_text(json.dumps(sections))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        load_config(path)
    return [str(warning.message) for warning in caught if warning.category is MethodInCodeWarning]


@pytest.mark.parametrize('sections, title, sign', [
    (content(exp=7, name=DIDA_RUN), 'DIDA', 'exp=7 with a GTADataset'),
    (content(SYNTHIA, exp=8), 'DIDA', 'exp=8 with a SynthiaDataset'),
    (content(checkpoint_config=dict(by_epoch=False, interval=2000, max_keep_ckpts=20)), 'DIDA', 'max_keep_ckpts=20'),
    (content(work_dir='work_dirs/DIDA_gta2cs/x'), 'DIDA', 'work_dirs/DIDA_gta2cs/x'),
    (content(**LOGIT_CONSTRAINT), 'EBDA', 'LogitConstraintLoss'),
    (content(name=f'230326_1200_{ACDC}_0a1b2'), 'EBDA', ACDC),
    (content(data=dict(samples_per_gpu=1), evaluation=dict(interval=2000, save_best='mIoU'),
             log_config=dict(interval=100)), 'EBDA', 'samples_per_gpu=1'),
])
def test_they_are_recognised_by_names_and_keys(tmp_path: Path, sections: dict[str, Any], title: str, sign: str) -> None:
    [message] = load(tmp_path, sections)
    assert f'a config of {title} ' in message and sign in message and 'plain DAFormer' in message
    method = next(method for method in IN_CODE.values() if method.title == title)
    assert f'uda = dict(\n        {method.key}=dict(' in message and f'--method {title.lower()}' in message


def test_files_tell_the_method_too(tmp_path: Path) -> None:
    assert 'EBDA' in load(tmp_path, content(), ACDC)[0]
    assert 'EBDA' in load(tmp_path, dict(_base_=f'{ACDC}.json', name='mine'))[0]


@pytest.mark.parametrize('sections', [
    content(),
    content(exp=7, uda=dict(instance_bank=dict(preset='dida'))),
    content(exp=7, uda=dict(instance_bank=None)),
    content(uda=dict(entropy_balance=dict(weight=0.1)), **LOGIT_CONSTRAINT),
    content(SYNTHIA, exp=7),
    content('CityscapesDataset', exp=8),
    content(name='candidate_daformer'),
    dict(LOGIT_CONSTRAINT),
])
def test_nothing_is_said_about_others_or_once_the_section_is_there(tmp_path: Path, sections: dict[str, Any]) -> None:
    assert load(tmp_path, sections) == []


@pytest.mark.parametrize('file', [path for path in sorted(CONFIGS.rglob('*.py')) if 'generated' not in path.parts],
                         ids=lambda path: path.relative_to(CONFIGS).as_posix())
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_our_own_configs_are_silent(file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error', MethodInCodeWarning)
        load_config(file)


@pytest.mark.parametrize('source', [GTA, SYNTHIA])
@pytest.mark.parametrize('method', IN_CODE)
def test_the_lines_that_are_advised_load(tmp_path: Path, method: str, source: str) -> None:
    sign = dict(dida=dict(work_dir='dida'), ebda=LOGIT_CONSTRAINT)[method]
    [message] = load(tmp_path, content(source, **sign))
    lines = message.partition('add\n')[2].partition('\nor start')[0]
    path = tmp_path / 'advised.py'
    path.write_text("_base_ = 'config.json'\n" + lines.strip())
    section = load_config(path).uda[IN_CODE[method].key]
    assert section.get('classes') == (IN_SYNTHIA if (method, source) == ('dida', SYNTHIA) else None)


def test_the_loss_of_ebda_is_cross_entropy(tmp_path: Path) -> None:
    loss = dict(type='LogitConstraintLoss', use_sigmoid=False, use_mask=False, loss_weight=0.5, a_key_of_its_own=3)
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(dict(model=dict(
        type='EncoderDecoder', decode_head=dict(type='DAFormerHead', loss_decode=loss),
        auxiliary_head=[dict(type='FCNHead', loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=False))]))))
    model = load_config(path).model
    assert model.decode_head.loss_decode == dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.5)
    assert model.auxiliary_head[0].loss_decode == dict(type='CrossEntropyLoss')


def test_ebdas_own_names_of_network_and_config() -> None:
    network, same = (load_config(CONFIGS / f'_base_/models/daformer_{name}.py') for name in (
        'sepaspp_lc_mitb5', 'sepaspp_mitb5'))
    assert network.to_dict() == same.to_dict()
    with pytest.warns(UserWarning, match='margins without pseudo labels'):
        cfg = load_config(CONFIGS / f'daformer/{ACDC}.py')
    assert cfg.uda.entropy_balance == dict(weight=0.1, target=0.4) and cfg.data.samples_per_gpu == 1


@pytest.mark.filterwarnings('ignore:.*margins without pseudo labels')
def test_generated_files_that_inherit_from_ebdas_config_train_its_method(tmp_path: Path) -> None:
    generated = tmp_path / 'configs/generated/local-basic'
    generated.mkdir(parents=True)
    for folder in ('_base_', 'daformer', 'ebda'):
        (tmp_path / 'configs' / folder).symlink_to(CONFIGS / folder)
    for number in range(3):
        name = f'23031{number}_1200_{ACDC}_{number:05x}'
        sections = dict(_base_=f'../../daformer/{ACDC}.py', name=name, work_dir=f'work_dirs/local-basic/{name}')
        assert load(generated, sections, name) == []
        assert load_config(generated / f'{name}.json').uda.entropy_balance.weight == 0.1
