"""The two ways a training can end badly for a reason that has a plain-words remedy."""


class UnusableInput(Exception):
    """A setting, dataset or checkpoint this run cannot work with; the message says what to change (exit code 2)."""


class Diverged(Exception):
    """Loss or gradient stopped being a number; the message says at which step (exit code 1)."""
