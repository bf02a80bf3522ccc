# MiT-B0 with DAFormer's smallest head, narrowed to 64 channels: learns from scratch on a CPU (toy, CamVid).
_base_ = ['daformer_conv1_mitb5.py']
model = dict(
    pretrained=None,
    backbone=dict(type='mit_b0', drop_path_rate=0.0),  # short trainings from random weights need no regularisation
    decode_head=dict(in_channels=[32, 64, 160, 256], channels=64, decoder_params=dict(embed_dims=64)))
