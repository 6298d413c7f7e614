"""Values that the command line tells of in its help, apart so that help stays quick."""

DEFAULT_MODEL = "vepe-n"
"""The model that is used where none is named."""

DEFAULT_CONF = 0.3
"""Person score from which people are told, unless the caller says otherwise."""
