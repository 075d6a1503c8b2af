"""Weights in the form that this processor multiplies fast: in oneDNN's layout, joined, or in 8 and 4 bits."""
