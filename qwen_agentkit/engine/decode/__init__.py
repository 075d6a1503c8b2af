"""Tokens after a prompt: many answers in each step, sampled, guessed, and read as they come."""
