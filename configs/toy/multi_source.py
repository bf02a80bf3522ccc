# DAFormer's training from two games to the camera. The second game shows other scenes, and only a few of the classes:
#     python -m tools.make_toy_data --out data/toy/second --seed 1 --num 100 1 1
_base_ = ['daformer.py']
data = dict(
    train=dict(
        _delete_=True,
        type='MultiSource',
        sources=[
            _base_.data.train.source,
            dict(
                _base_.data.train.source,
                data_root='data/toy/second/game/',
                classes=['person', 'rider', 'car', 'bicycle']),
        ],
        target=_base_.data.train.target,
        weights=[3, 1],
        rare_class_sampling=_base_.data.train.rare_class_sampling))
