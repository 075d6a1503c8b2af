"""Models behind an OpenAI-compatible server, where the engine has them in this process."""
