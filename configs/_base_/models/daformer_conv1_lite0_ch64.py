# EfficientNet-Lite0 with ImageNet weights, which come with a package in requirements.txt, and DAFormer's smallest head,
# narrowed to 64 channels: learns on a CPU. It wants images normalised to mean 127.5, std 127.5.
_base_ = ['daformer_conv1_mitb5.py']
model = dict(
    pretrained='package',
    backbone=dict(_delete_=True, type='TIMMBackbone', model_name='tf_efficientnet_lite0'),
    decode_head=dict(in_channels=[24, 40, 112, 320], channels=64, decoder_params=dict(embed_dims=64)))
