"""Words from sound alone: a small speech recogniser (Whisper, Radford et al. 2022) through ONNX Runtime.

`recogniser.shipped` is the one in the assets; a build without its file works, and hears phones only.
"""
