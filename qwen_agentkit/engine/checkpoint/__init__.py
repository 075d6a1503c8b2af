"""A checkpoint: where it is, what it is, its weights, tokenizer and chat template."""
