"""Weights as this processor multiplies them fast: laid out, joined, or in 8 and 4 bits."""
