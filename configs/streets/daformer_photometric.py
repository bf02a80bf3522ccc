# DAFormer with photometric distortion of the source, as in photometric.py; mixed images get their own besides.
_base_ = ['daformer.py']
data = dict(train=dict(source=dict(pipeline={{_base_.photometric_train_pipeline}})))
