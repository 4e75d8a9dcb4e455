"""Captured people: from points tracked in a video of a speaking face to the controls of our own rig.

`solve` is the way from points to controls; `points` says which tracked point stands for which landmark.
"""

from .solve import Solution, neutral_pose, solve

__all__ = ["Solution", "neutral_pose", "solve"]
