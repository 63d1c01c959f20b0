import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import MLFlowLogger
from torch.utils.data import DataLoader, TensorDataset


class Line(LightningModule):
    def __init__(self, learning_rate: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch):
        inputs, targets = batch
        loss = torch.nn.functional.mse_loss(self.layer(inputs), targets)
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.learning_rate)


inputs = torch.linspace(-1, 1, 160)[:, None]
data = DataLoader(TensorDataset(inputs, 3 * inputs - 1), batch_size=8)
trainer = Trainer(
    max_epochs=2,
    accelerator="cpu",
    log_every_n_steps=5,
    logger=MLFlowLogger(log_model=True),
    callbacks=[ModelCheckpoint(dirpath="checkpoints", filename="line-{step}")],
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Line(), data)
