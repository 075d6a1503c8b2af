"""GGUF files run by llama.cpp in this process, as they lie on the disk."""
