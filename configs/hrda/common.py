# What HRDA's trainings share, whatever the data: all of DAFormer's, with a multi-resolution network. Each line is
# explained in gtaHR2csHR_hrda.py.
_base_ = ['../daformer/common.py', '../_base_/hrda.py']
model = dict(
    _base_.pop('hrda'),
    hr_crop_size=[512, 512],
    test_cfg=dict(mode='slide', batched_slide=True, stride=[512, 512], crop_size=[1024, 1024]))
