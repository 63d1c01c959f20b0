"""Notices the request to stop (SIGTERM) without interrupting what is being written."""

import signal


class StopRequest:
    """Becomes true when SIGTERM or SIGINT arrives; whoever works in steps looks at `requested` between them."""

    def __init__(self) -> None:
        self.requested = False

    def listen(self) -> None:
        """Take over SIGTERM and SIGINT of this process; main thread only."""
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)

    def _note(self, *_signal: object) -> None:
        # Nothing is printed here: the signal may arrive inside a print, and stdout cannot be entered twice.
        self.requested = True
