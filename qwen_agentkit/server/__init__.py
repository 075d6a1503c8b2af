"""Models on an OpenAI-compatible server: chats, vectors and scores over HTTP."""
