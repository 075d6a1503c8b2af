"""Messages in, and thoughts, text and tool calls out of an answer. Knows schemas, no tensors."""
