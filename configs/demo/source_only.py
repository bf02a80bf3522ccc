# Trained on the game alone, tested on the camera.
_base_ = 'common.py'
data = dict(train={{_base_.source}})
