"""Loaded by pytest before Django: gives the tests a data folder of their own."""

import os
import tempfile

os.environ["TRAINHUB_DATA"] = os.environ.get("TRAINHUB_TEST_DATA") or tempfile.mkdtemp(prefix="trainhub-tests-")
for name in ("TRAINHUB_URL", "TRAINHUB_TOKEN", "TRAINHUB_PORT", "TRAINHUB_NODE_URL"):
    os.environ.pop(name, None)
