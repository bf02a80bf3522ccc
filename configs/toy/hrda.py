# HRDA's network under DAFormer's training: context crops of the usual size at half the resolution, with detail crops of
# half their side at the full one. The images are not larger than those of the other methods.
_base_ = ['daformer.py']
model = dict(
    type='HRDAEncoderDecoder',
    scales=[1, 0.5],
    hr_crop_size=(48, 48),
    feature_scale=0.5,
    crop_coord_divisible=8,
    hr_slide_inference=True,
    decode_head=dict(
        type='HRDAHead',
        single_scale_head='DAFormerHead',
        attention_classwise=True,
        attention_embed_dim=64,
        hr_loss_weight=0.1),
    test_cfg=dict(mode='slide', batched_slide=True, stride=(48, 48), crop_size=(96, 96)))
