import mlflow
import torch
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

mlflow.pytorch.autolog(log_models=False)


class Line(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch):
        inputs, targets = batch
        loss = torch.nn.functional.mse_loss(self.layer(inputs), targets)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


inputs = torch.linspace(-1, 1, 160)[:, None]
data = DataLoader(TensorDataset(inputs, 3 * inputs - 1), batch_size=8)
Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False).fit(Line(), data)
