# Source only with Fourier domain adaptation: a source crop gets the amplitudes of a target crop at the lowest
# frequencies, here the mean colour and waves of one period per crop. The next cheapest thing after photometric.py. As
# source_style it joins the self-training methods, too.
_base_ = ['common.py', '../_base_/uda/dacs_srconly.py']
data = dict(
    train=dict(
        type='UDADataset', source={{_base_.source}}, target={{_base_.target}},
        source_style=dict(type='FourierAdaptation', beta=0.01)))
