"""Grammars that constrain an answer: for tool calls, JSON schemas and thoughts, down to masks of tokens."""
