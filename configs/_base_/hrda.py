# HRDA's network around a DAFormer head. A config takes it with model = dict(_base_.pop('hrda'), ...) and adds the sizes
# of its crops. Each line is explained in ../hrda/gtaHR2csHR_hrda.py.
hrda = dict(
    type='HRDAEncoderDecoder',
    scales=[1, 0.5],
    feature_scale=0.5,
    crop_coord_divisible=8,
    hr_slide_inference=True,
    decode_head=dict(
        type='HRDAHead', single_scale_head='DAFormerHead', attention_classwise=True, hr_loss_weight=0.1))
