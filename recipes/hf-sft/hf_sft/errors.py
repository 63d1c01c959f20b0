"""The ways a training can end early for a reason that has a plain-words remedy."""


class UnusableInput(Exception):
    """A setting, dataset, model or checkpoint that does not work; the message says what to change (exit code 2)."""


class Diverged(Exception):
    """Loss or gradient stopped being a number; the message says at which step (exit code 1)."""


class Stopped(Exception):
    """The request to stop came before the first step: there is nothing to save (exit code 0)."""
