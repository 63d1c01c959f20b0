"""Notices the request to stop (SIGTERM) without interrupting what is being written."""

import os
import signal


class StopRequest:
    """Becomes true when SIGTERM or SIGINT arrives, or the stop file appears; looked at between steps.

    The launcher makes the stop file to pass the request on to the processes of a distributed training.
    """

    def __init__(self, stop_file: str | None = None) -> None:
        self._stop_file = stop_file
        self._is_noted = False

    def listen(self) -> None:
        """Take over SIGTERM and SIGINT of this process; main thread only."""
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)

    @property
    def requested(self) -> bool:
        """Whether somebody asked to stop."""
        if not self._is_noted and self._stop_file is not None:
            self._is_noted = os.path.exists(self._stop_file)
        return self._is_noted

    def _note(self, *_signal: object) -> None:
        # Nothing is printed here: the signal may arrive inside a print, and stdout cannot be entered twice.
        self._is_noted = True
