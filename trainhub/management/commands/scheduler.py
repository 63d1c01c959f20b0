"""`manage.py scheduler`: starts and watches runs until it is told to stop."""

import signal
import threading
from contextlib import suppress
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError

from artifacts.checking import LOOK_EVERY, check_some
from artifacts.direct import give_up_uploads
from artifacts.erasure import ErasureSweep
from artifacts.keeping import removal
from artifacts.leftovers import LeftoverSweep
from artifacts.services import collect_broken_uploads, collect_unfinished
from artifacts.store_work import start_store_work
from artifacts.tracking.checkpoints import settle_client_files
from projects.services import forget_old_answers
from runs.scheduler.beat import Beat
from runs.scheduler.loop import run_forever
from runs.scheduler.sweeps import LEFTOVERS_EVERY, Sweep, telemetry_sweeps
from trainhub.schema_state import refuse_unknown_schema


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
        refuse_unknown_schema()
        start_store_work(
            stop,
            sweeps=[
                Sweep(ErasureSweep(), every=LEFTOVERS_EVERY),
                Sweep(removal.CheckpointSweep(), every=removal.EVERY),
                Sweep(check_some, every=LOOK_EVERY),
            ],
            chores=[collect_unfinished, settle_client_files, collect_broken_uploads, LeftoverSweep(), give_up_uploads],
        )
        beat = Beat()
        run_forever(stop, chores=[forget_old_answers, forget_sessions], sweeps=telemetry_sweeps(), beat=beat)
        with suppress(DatabaseError):  # it is away: then the row is old soon
            beat.end()
