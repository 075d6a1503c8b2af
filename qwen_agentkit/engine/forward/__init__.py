"""The packed forward: decoder, attention, keys and values."""
