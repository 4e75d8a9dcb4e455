"""Captured people: from a video of a speaking face to the controls of our own rig.

`python -m training.capture VIDEO… --out DIR`. `tracking` alone needs MediaPipe and makes a `tracks.Track` of a video;
`points` says which tracked point stands for which landmark and takes the head's motion out, `frames` says which frames
can be used, `solve` is the way from points to controls of lips and jaw, `upper` to those of lids, brows and head,
`sync` tells by how much the sound is late; `command` joins them and writes results, `overlay` the film, `report` the
figures.
"""

from .solve import Solution, neutral_pose, solve

__all__ = ["Solution", "neutral_pose", "solve"]
