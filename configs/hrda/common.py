# What HRDA's trainings share, whatever the data: all of DAFormer's, with a multi-resolution network. Each line is
# explained in gtaHR2csHR_hrda.py.
_base_ = '../daformer/common.py'
model = dict(
    type='HRDAEncoderDecoder',
    scales=[1, 0.5],
    hr_crop_size=[512, 512],
    feature_scale=0.5,
    crop_coord_divisible=8,
    hr_slide_inference=True,
    decode_head=dict(
        type='HRDAHead', single_scale_head='DAFormerHead', attention_classwise=True, hr_loss_weight=0.1),
    test_cfg=dict(mode='slide', batched_slide=True, stride=[512, 512], crop_size=[1024, 1024]))
