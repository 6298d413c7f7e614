"""Augmentation of clips: images and labels change together, parameters are drawn once per clip.

`clip_transform` puts the parts in order. Each part is a `torchvision.transforms.v2.Transform` on a
sample of `tv_tensors`, or a function from clip to clip where people are added or removed. To add a
part: a transform whose parameters are constructor arguments, a function `draw_NAME(rng, ...)`, a
field in `config.augmentation`, and its place in `clip_transform`.
"""
