"""The network that knows laughs, breaths and the like from words and background: `python -m training.vocal`."""
