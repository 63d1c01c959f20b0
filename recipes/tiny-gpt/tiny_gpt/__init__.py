"""A small byte-level language model, trained on the CPU with numpy and autograd."""
