# DAFormer whose source crops have the style of target crops, as in fda.py.
_base_ = ['daformer.py']
data = dict(train=dict(source_style=dict(type='FourierAdaptation', beta=0.01)))
