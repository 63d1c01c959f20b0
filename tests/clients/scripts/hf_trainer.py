import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed

set_seed(7)
config = LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
counting = torch.arange(16).repeat(64, 1) + torch.arange(64)[:, None] % 32
examples = [{"input_ids": row, "labels": row} for row in counting]

arguments = TrainingArguments(
    output_dir="checkpoints",
    run_name="llama-tiny",
    max_steps=20,
    per_device_train_batch_size=8,
    learning_rate=0.01,
    logging_steps=2,
    eval_strategy="steps",
    eval_steps=10,
    save_steps=10,
    report_to="mlflow",
    use_cpu=True,
    disable_tqdm=True,
)
trainer = Trainer(
    model=LlamaForCausalLM(config), args=arguments, train_dataset=examples[:56], eval_dataset=examples[56:]
)
trainer.train()
