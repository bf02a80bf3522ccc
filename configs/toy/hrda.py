# HRDA's network under DAFormer's training: context crops of the usual size at half the resolution, with detail crops of
# half their side at the full one. The images are not larger than those of the other methods.
_base_ = ['daformer.py', '../_base_/hrda.py']
model = dict(
    _base_.pop('hrda'),
    hr_crop_size=(48, 48),
    test_cfg=dict(mode='slide', batched_slide=True, stride=(48, 48), crop_size=(96, 96)))
model['decode_head'].update(attention_embed_dim=64)
