"""`manage.py scheduler`: starts and watches runs until it is told to stop."""

import signal
import threading
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from artifacts.erasure import erase_some_runs
from artifacts.services import collect_unfinished
from projects.services import forget_old_answers
from runs.scheduler.loop import run_forever
from runs.scheduler.sweeps import LEFTOVERS_EVERY, Sweep, telemetry_sweeps


def forget_sessions() -> None:
    """Delete browser sessions that are over."""
    call_command("clearsessions")


class Command(BaseCommand):
    """The scheduler process."""

    help = "Start and watch runs. Stops on SIGTERM or Ctrl-C; runs that go on are found again at the next start."

    def handle(self, *args: Any, **options: Any) -> None:
        """Loop until a signal comes."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        run_forever(
            stop,
            chores=[forget_old_answers, forget_sessions, collect_unfinished],
            sweeps=[*telemetry_sweeps(), Sweep(erase_some_runs, every=LEFTOVERS_EVERY)],
        )
