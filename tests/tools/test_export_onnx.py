"""tools/export_onnx.py: the file gives torch's numbers, and says how to feed it."""
from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmseg.apis import inference_segmentor, init_segmentor, load_config, onnx_export
from mmseg.datasets.files import read_image
from mmseg.errors import ExportError, PackageMissing
from mmseg.models import build_segmentor
from mmseg.utils.config_text import format_config
from tests.models import nets
from tests.tiny import TinyRun, make_tiny_run
from tools import export_onnx

needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in ('onnx', 'onnxscript', 'onnxruntime')), reason="needs the extra 'onnx'")
HRDA = dict(type='HRDAEncoderDecoder', scales=[1, 0.5], hr_crop_size=(32, 32), feature_scale=0.5,
            decode_head=dict(nets.head(19), type='HRDAHead', single_scale_head='DAFormerHead', attention_embed_dim=8))


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A MiT with DAFormer's head with random weights of the usual size: logits of order 1."""
    return tiny(make_tiny_run(tmp_path_factory.mktemp('tiny')), {})


def tiny(run: TinyRun, model: dict) -> TinyRun:
    cfg = load_config(run.config)
    cfg.model = {'type': 'EncoderDecoder', 'backbone': nets.backbone(), 'decode_head': nets.head(19),
                 'test_cfg': dict(mode='whole'), **model}
    run.config.write_text(format_config(cfg.to_dict()))
    torch.manual_seed(0)
    network = build_segmentor(cfg.model)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.out_channels == 19:
            torch.nn.init.normal_(layer.weight, std=0.5)
    torch.save(dict(meta={}, state_dict=network.state_dict()), run.checkpoint)
    return run


def session(path: Path):
    import onnxruntime
    return onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])


@pytest.fixture(scope='module')
def programs() -> list[torch.onnx.ONNXProgram]:
    """What torch's exporter, which takes seconds, made of the network of ``run``."""
    return []


@pytest.fixture(scope='module')
def exported(run: TinyRun, programs: list[torch.onnx.ONNXProgram]) -> Path:
    """The network of ``run`` for the size of its images."""
    def export(*args: Any, **kwargs: Any) -> torch.onnx.ONNXProgram:
        programs.append(exporter(*args, **kwargs))
        return programs[0]

    out, exporter = run.folder / 'new' / 'net.onnx', torch.onnx.export
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, 'export', export)
        assert 0 <= export_onnx.main([str(run.config), str(run.checkpoint), str(out), '--size', '64', '96']) < 1e-4
    return out


def check_logits(out: Path, run: TinyRun, size: tuple[int, int]) -> None:
    model = init_segmentor(str(run.config), str(run.checkpoint), 'cpu')
    img = torch.randn(1, 3, *size)
    with torch.no_grad():
        expected = model.encode_decode(img).numpy()
    [logits] = session(out).run(['logits'], {'img': img.numpy()})
    assert expected.std() > 0.3
    np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=0)


@needs_onnx
def test_logits_are_those_of_torch(run: TinyRun, exported: Path) -> None:
    check_logits(exported, run, (64, 96))
    assert [file.name for file in exported.parent.iterdir()] == ['net.onnx']


@needs_onnx
def test_images_of_any_size(run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / 'net.onnx'
    export_onnx.main([str(run.config), str(run.checkpoint), str(out), '--size', '77', '65'])
    assert f'wrote {out}' in capsys.readouterr().out
    check_logits(out, run, (77, 65))


@needs_onnx
def test_the_metadata_are_enough_to_predict_an_image(run: TinyRun, exported: Path) -> None:
    net, path = session(exported), str(run.image('bonn', 0))
    known = {key: json.loads(value) for key, value in net.get_modelmeta().custom_metadata_map.items()}
    assert known['classes'][13] == 'car' and known['palette'][0] == [128, 64, 128]
    img = (read_image(path)[..., ::-1] - np.array(known['mean'])) / np.array(known['std'])
    [logits] = net.run(None, {'img': img.transpose(2, 0, 1)[None].astype(np.float32)})
    model = init_segmentor(str(run.config), str(run.checkpoint), 'cpu')
    assert (logits[0].argmax(0) == inference_segmentor(model, path)[0]).mean() > 0.999


@needs_onnx
@pytest.mark.slow
def test_hrda_with_its_detail_windows(tmp_path: Path) -> None:
    run = tiny(make_tiny_run(tmp_path), HRDA)
    export_onnx.main([str(run.config), str(run.checkpoint), str(tmp_path / 'net.onnx'), '--size', '64', '64'])
    assert (tmp_path / 'net.onnx').exists()


@needs_onnx
@pytest.mark.usefixtures('exported')
def test_a_file_with_other_numbers_is_not_written(run: TinyRun, programs: list[torch.onnx.ONNXProgram], tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, 'TOLERANCE', -1)
    monkeypatch.setattr(torch.onnx, 'export', lambda *_, **__: programs[0])
    with pytest.raises(ExportError, match='other logits than torch.*no file'):
        export_onnx.main([str(run.config), str(run.checkpoint), str(tmp_path / 'net.onnx'), '--size', '64', '96'])
    assert not list(tmp_path.iterdir())


@needs_onnx
def test_windows_are_refused(run: TinyRun, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='sliding windows.*model.test_cfg.mode=whole'):
        export_onnx.main([str(run.config), str(run.checkpoint), str(tmp_path / 'net.onnx'), '--options',
                          'model.test_cfg.mode=slide', 'model.test_cfg.crop_size=(64,64)',
                          'model.test_cfg.stride=(32,32)'])


def test_missing_packages_are_named(run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmseg.extras.find_spec', lambda name: None)
    with pytest.raises(PackageMissing, match=r"onnx and onnxscript and onnxruntime: pip install 'udaseg\[onnx\]'"):
        export_onnx.main([str(run.config), str(run.checkpoint), str(tmp_path / 'net.onnx')])
