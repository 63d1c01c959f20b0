"""A Lightning program that reports, saves, stops and resumes as trainhub expects; put your own model and data in."""

import json
import os
import signal
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

CONFIG = json.loads(Path(os.environ["TRAINHUB_CONFIG"]).read_text())
OUTPUT = Path(os.environ["TRAINHUB_OUTPUT_DIR"])


class Line(lightning.LightningModule):
    """Learns y = 3x - 1."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, _index):
        """Return the loss of a batch."""
        inputs, targets = batch
        loss = torch.nn.functional.mse_loss(self.layer(inputs), targets)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        """Return the optimizer."""
        return torch.optim.SGD(self.parameters(), lr=CONFIG["hyperparameters"].get("learning_rate", 0.01))


class Hub(lightning.Callback):
    """Prints the metrics as JSON lines, and ends the training after the step in which SIGTERM arrives."""

    def __init__(self):
        self.is_stopping = False

    def on_train_start(self, trainer, module):
        """Take over SIGTERM; here, because Lightning sets handlers of its own before."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "is_stopping", True))

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        """Report a step."""
        if trainer.is_global_zero and trainer.global_step % trainer.log_every_n_steps == 0:
            metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
            metrics["progress"] = trainer.global_step / trainer.max_steps
            print(json.dumps({"step": trainer.global_step, **metrics}), flush=True)
        # Of several processes, all stop when one is asked to.
        if trainer.strategy.reduce_boolean_decision(self.is_stopping, all=False):
            trainer.should_stop = True

    def on_train_end(self, trainer, module):
        """Save what the last step left, under a name that is not looked at until it is whole."""
        unfinished, name = OUTPUT / "checkpoints" / ".last.ckpt", f"last-step={trainer.global_step}.ckpt"
        trainer.save_checkpoint(unfinished, weights_only=False)
        if trainer.is_global_zero:
            unfinished.rename(unfinished.with_name(name))


def main():
    """Train, from the checkpoint that trainhub gives, if any."""
    lightning.seed_everything(1)
    inputs = torch.linspace(-1, 1, 256)[:, None]
    data = torch.utils.data.TensorDataset(inputs, 3 * inputs - 1)
    trainer = lightning.Trainer(
        max_steps=CONFIG["model_parameters"].get("max_steps", 1000),
        log_every_n_steps=10,
        accelerator="auto",
        devices=CONFIG["compute"].get("gpus_per_node") or 1,
        callbacks=[Hub(), ModelCheckpoint(OUTPUT / "checkpoints", every_n_train_steps=200, save_top_k=-1)],
        default_root_dir=OUTPUT,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = torch.utils.data.DataLoader(data, batch_size=16, shuffle=True)
    trainer.fit(Line(), loader, ckpt_path=os.environ.get("TRAINHUB_RESUME_FROM"))


if __name__ == "__main__":
    main()
