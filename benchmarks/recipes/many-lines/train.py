"""Writes as many log lines as it was told and ends."""

import json
import os
import sys
from pathlib import Path

config = json.loads(Path(os.environ["TRAINHUB_CONFIG"]).read_text(encoding="utf-8"))
count = config["model_parameters"]["lines"]
for number in range(1, count + 1):
    sys.stdout.write(f"INFO Step {number}/{count} - loss={2.0 + 1.0 / number:.4f} lr=3.00e-04 grad_norm=0.71\n")
