"""Running models on images, videos and streams.

The two defaults live here because the command line shows them in its help, which must not load
torch.
"""

DEFAULT_MODEL = "vepe-n"
"""The model that is used where none is named."""

DEFAULT_CONF = 0.4
"""Person score threshold, unless the caller gives another.

Chosen for the bundled weights on 79 COCO images: 49 % (vepe-n) and 51 % (vepe-s) of the labelled
people are detected (OKS of at least 0.3), and 39 and 38 of the 40 images without people stay empty.
"""
