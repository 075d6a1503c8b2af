"""The tests. No test may reach for the hub: a missing file has to fail at once, with our message."""

import os

# Before huggingface_hub is imported, which reads it once.
os.environ["HF_HUB_OFFLINE"] = "1"
