"""How the web server runs; every value that an operator may change is an environment variable."""

import gc
import os
import sys
from pathlib import Path
from typing import Any

from trainhub import traffic
from trainhub.logs import logging_config

_host = os.environ.get("TRAINHUB_BIND", "127.0.0.1")
bind = f"{f'[{_host}]' if ':' in _host else _host}:{os.environ.get('TRAINHUB_PORT', '8000')}"
wsgi_app = "trainhub.wsgi:application"
workers = int(os.environ.get("TRAINHUB_WEB_WORKERS", "2"))
threads = int(os.environ.get("TRAINHUB_WEB_THREADS", "12"))
worker_class = "gthread"
preload_app = True  # workers share the memory of what is imported before the fork
keepalive = 75  # seconds; runners and browsers come back within seconds
timeout = 60
graceful_timeout = 10
umask = 0o077
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - the heartbeat file must not hit a disk
logconfig_dict = logging_config()
control_socket_disable = True
proc_name = "trainhub-web"


def post_fork(server: object, worker: Any) -> None:  # noqa: ARG001 - signature of the hook
    """Let threads take turns more often than every 5 ms: one that has just committed must not wait for a parser."""
    sys.setswitchinterval(0.0005)
    traffic.begin_worker(worker.age)


def when_ready(server: object) -> None:  # noqa: ARG001 - signature of the hook
    """Leave what is loaded before the fork alone: a collection would copy its pages into every worker."""
    gc.collect()
    gc.freeze()
