"""Supervised fine-tuning of language models with the Trainer of transformers, and LoRA by peft."""
