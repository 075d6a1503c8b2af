"""Generating tokens after a prompt: many answers in each step, sampled, drafted ahead, and parsed."""
