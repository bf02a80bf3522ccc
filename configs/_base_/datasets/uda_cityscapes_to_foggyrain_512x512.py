# Cityscapes (labelled) to Cityscapes in synthetic fog and rain (unlabelled) at half resolution: as to ACDC, another
# target.
_base_ = 'uda_cityscapes_to_acdc_512x512.py'
dataset_type = 'CityscapesFoggyRainDataset'
data_root = 'data/cityscapes/'
foggyrain_train_pipeline = _base_.pop('acdc_train_pipeline')  # pop: the base's name for it is not inherited
foggyrain_train_pipeline[1] = dict(type='Resize', img_scale=(1024, 512))
test_pipeline = [_base_.test_pipeline[0], dict(_base_.test_pipeline[1], img_scale=(1024, 512))]
data = dict(
    train=dict(
        target=dict(
            type='CityscapesFoggyRainDataset',
            data_root='data/cityscapes/',
            img_dir=['leftImg8bit_foggy/train', 'leftImg8bit_rain/train'],
            ann_dir=['gtFine/train', 'gtFine/train'],
            pipeline=foggyrain_train_pipeline)),
    val=dict(
        type='CityscapesFoggyRainDataset',
        data_root='data/cityscapes/',
        img_dir=['leftImg8bit_foggy/val', 'leftImg8bit_rain/val'],
        ann_dir=['gtFine/val', 'gtFine/val'],
        pipeline=test_pipeline))
data['test'] = data['val']
