# DACS: self-training on class-mixed images, from the game to the camera. Student and teacher are both scored.
_base_ = ['common.py', '../_base_/datasets/uda_toy_game_to_camera.py', '../_base_/uda/dacs.py']
evaluation = dict(model=['student', 'teacher'])
