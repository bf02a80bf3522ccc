# Source only with Fourier domain adaptation: a crop by day gets the amplitudes of one at dusk at the lowest
# frequencies, here the mean colour and waves of one period per crop. The next cheapest thing after photometric.py. As
# source_style it joins the self-training methods, too.
_base_ = ['common.py', '../../_base_/uda/dacs_srconly.py']
data = dict(
    train=dict(
        type='UDADataset', source={{_base_.day}}, target={{_base_.dusk}},
        source_style=dict(type='FourierAdaptation', beta=0.01)))
