"""Grammars that an answer is held to, and the masks of tokens they become."""
