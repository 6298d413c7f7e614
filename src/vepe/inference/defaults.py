"""Values that the command line tells of in its help, apart so that help stays quick."""

DEFAULT_MODEL = "vepe-n"
"""The model that is used where none is named."""

DEFAULT_CONF = 0.4
"""Person score from which people are told, unless the caller says otherwise.

Chosen for the bundled weights on 79 COCO pictures: 49 % (vepe-n) and 51 % (vepe-s) of the labelled
people are found (OKS 0.3 or more), and 39 and 38 of the 40 pictures without people stay empty.
"""
