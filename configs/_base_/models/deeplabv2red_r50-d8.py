# DeepLabV2 with two dilations instead of four: the form that the UDA papers compare.
_base_ = 'deeplabv2_r50-d8.py'
model = dict(decode_head=dict(dilations=(6, 12)))
