"""What computes vectors and scores: our packed engine, sentence-transformers, or a server."""
