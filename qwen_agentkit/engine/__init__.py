"""The engine: token ids and tensors in, hidden states and tokens out. It knows nothing of LangChain."""
