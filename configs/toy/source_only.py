# Source only: supervised training on the game, tested on the camera. What adaptation has to beat.
_base_ = ['common.py', '../_base_/datasets/toy_game.py']
