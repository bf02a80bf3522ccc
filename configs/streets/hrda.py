# HRDA's network under DAFormer's training, on images of twice the size: the context, at half of it, is what DAFormer
# sees; the detail crop has a quarter of the area. Crops have four times the pixels, for rare classes, too.
_base_ = ['daformer.py', '../_base_/hrda.py']
model = dict(
    _base_.pop('hrda'),
    hr_crop_size=(128, 128),
    test_cfg=dict(mode='slide', batched_slide=True, stride=(128, 128), crop_size=(256, 256)))
model['decode_head'].update(attention_embed_dim=64)
data = dict(
    train=dict(
        source=dict(pipeline={{_base_.large_source_train_pipeline}}),
        target=dict(pipeline={{_base_.large_target_train_pipeline}}),
        rare_class_sampling=dict(min_crop_ratio=2.0)),
    val=dict(pipeline={{_base_.large_test_pipeline}}),
    test=dict(pipeline={{_base_.large_test_pipeline}}))
