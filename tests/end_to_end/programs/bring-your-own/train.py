"""A program without a declaration: prints what it was given, and saves."""

import json
import os
from pathlib import Path

config = json.loads(Path(os.environ["TRAINHUB_CONFIG"]).read_text())
print("INFO given", json.dumps(config["hyperparameters"], sort_keys=True))
folder = Path(os.environ["TRAINHUB_OUTPUT_DIR"], "checkpoints")
folder.mkdir()
for step in range(1, 4):
    print(json.dumps({"step": step, "loss": 1 / step}))
(folder / "tmp-step").write_text("3")
(folder / "tmp-step").rename(folder / "step-3")
