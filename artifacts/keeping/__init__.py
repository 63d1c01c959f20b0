"""Which checkpoints a project keeps: the rule, what holds each of them whatever the rule says, and their removal."""
