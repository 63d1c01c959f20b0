"""What tracking clients put: files one by one, grouped to artifacts; checkpoints among them; and logged models."""
