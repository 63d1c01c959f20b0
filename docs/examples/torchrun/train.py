"""A torchrun program that reports, saves, stops and resumes as trainhub expects; put your own model and data in."""

import json
import os
import signal
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

CONFIG = json.loads(Path(os.environ["TRAINHUB_CONFIG"]).read_text())
FOLDER = Path(os.environ["TRAINHUB_OUTPUT_DIR"], "checkpoints")
STOPPING = []


def main():
    """Train in this process, one of several."""
    signal.signal(signal.SIGTERM, lambda *_: STOPPING.append(True))  # torchrun passes it on to every process
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if torch.cuda.is_available() else torch.device("cpu")
    model = torch.nn.Linear(1, 1).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=CONFIG["hyperparameters"].get("learning_rate", 0.01))
    step = load(model, optimizer)
    wrapped = DistributedDataParallel(model)
    last_step = CONFIG["model_parameters"].get("max_steps", 1000)
    while step < last_step and not is_stop_agreed(device):
        # Drawn from step and rank: a resumed training sees the same numbers as one that was never interrupted.
        numbers = torch.Generator().manual_seed(step * dist.get_world_size() + dist.get_rank())
        inputs = torch.rand(16, 1, generator=numbers).to(device) * 2 - 1
        loss = torch.nn.functional.mse_loss(wrapped(inputs), 3 * inputs - 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if dist.get_rank() == 0 and step % 10 == 0:
            print(json.dumps({"step": step, "loss": loss.item(), "progress": step / last_step}))
        if step % 200 == 0:
            save(model, optimizer, step)
    save(model, optimizer, step)
    dist.destroy_process_group()


def is_stop_agreed(device):
    """Whether one of the processes was asked to stop: all must leave the loop at the same step."""
    wish = torch.tensor([float(bool(STOPPING))], device=device)
    dist.all_reduce(wish)
    return wish.item() > 0


def load(model, optimizer):
    """Take over the checkpoint that trainhub gives; returns its step, 0 without one."""
    resume_from = os.environ.get("TRAINHUB_RESUME_FROM")
    if resume_from is None:
        return 0
    saved = torch.load(resume_from, map_location="cpu", weights_only=True)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["step"]


def save(model, optimizer, step):
    """Write a checkpoint under a name that is not looked at, then give it its own: it is whole or absent."""
    if dist.get_rank() == 0:
        FOLDER.mkdir(exist_ok=True)
        unfinished = FOLDER / "tmp-step.pt"
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, unfinished)
        unfinished.rename(FOLDER / f"step-{step:06d}.pt")
    dist.barrier()


if __name__ == "__main__":
    main()
