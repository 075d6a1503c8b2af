"""Text in every script: languages, sentences, numbers, words, quotes. Knows no model."""
