"""The recogniser that ships: Whisper's published weights, made small enough to come along.

`python -m training.recogniser` does it. Nothing is trained: see docs/hearing.md.
"""
