# All together for Cityscapes -> Dark Zurich: as csHR2acdcHR_mic_hrda_mrm_eb.py, for its reasons and with its doubts;
# the night is part of ACDC, too.
_base_ = '../mic/csHR2dzurHR_mic_hrda.py'
uda = dict(
    mrm=dict(
        weight=1.0, mask_ratio=0.4, dim=512, grid='auto', depth=2, heads=16, lr=2e-4, view='target', aux_bn='frozen'),
    entropy_balance=dict(weight=0.1, target=0.4))
