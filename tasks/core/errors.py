"""The two ways a run says no to a person. Both are shown as one line, without a traceback."""


class InputError(ValueError):
    """What cannot be used: file, setting, token, Hub. Says why, and the way out; exit 2."""


class Refused(RuntimeError):
    """A gate said no to data or to a model. Names metric, value and threshold; exit 1."""
