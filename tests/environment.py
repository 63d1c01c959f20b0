"""Loaded by pytest before Django: gives the tests a data folder of their own."""

import atexit
import os
import shutil
import tempfile

_folder = tempfile.mkdtemp(prefix="trainhub-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["TRAINHUB_DATA"] = _folder
for name in ("TRAINHUB_URL", "TRAINHUB_TOKEN", "TRAINHUB_PORT", "TRAINHUB_NODE_URL"):
    os.environ.pop(name, None)
