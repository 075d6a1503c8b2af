"""What the graphs share: their nodes, state, prompts, and how a node runs."""
