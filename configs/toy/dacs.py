# DACS: self-training on class-mixed images, from the game to the camera.
_base_ = ['common.py', '../_base_/datasets/uda_toy_game_to_camera.py', '../_base_/uda/dacs.py']
