# Oracle: supervised training on the camera's labels, which adaptation does not see.
_base_ = ['common.py', '../_base_/datasets/toy_camera.py']
