"""What several graphs share: state, models, retrieval, passages, answers, and how a node runs."""
