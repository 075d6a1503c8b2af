"""Chats: messages, requests, tool calls and the parts of an answer. Knows schemas, no tensors."""
