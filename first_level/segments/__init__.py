"""The segment task: models fine-tuned on 5-second segments."""
