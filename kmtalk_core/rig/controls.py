"""The named facial controls: ARKit's 52 blendshape names, and two documented extras for the tongue.

Every facial control runs from 0 (neutral) to 1 (the anatomical maximum of that movement); three more turn the head.
Directions are the person's own: `…Left` is the person's left, which a viewer sees on the right.
"""

from __future__ import annotations

ARKIT_CONTROLS = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight",
    "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip

# ARKit has only `tongueOut`. `tongueTipUp`: the tip touches the ridge behind the upper teeth (t, d, n, l).
# `tongueBodyUp`: the body rises towards the palate (k, g, ng, and high vowels by part).
TONGUE_EXTRAS = ("tongueTipUp", "tongueBodyUp")

CONTROLS = ARKIT_CONTROLS + TONGUE_EXTRAS

# The head turns about the joint of skull and neck. Signed: 1 is HEAD_DEG degrees, and -1 as many the other way.
# `headPitch`: 1 nods, chin down; `headYaw`: 1 turns to the person's left; `headRoll`: 1 tilts to the person's left
# shoulder. The eyes keep looking where they looked.
HEAD_CONTROLS = ("headPitch", "headYaw", "headRoll")
HEAD_DEG = 10.0

EYE_LOOK_DEG = {"Up": 25.0, "Down": 30.0, "In": 35.0, "Out": 35.0}  # that an eye turns by eyeLook… at 1

ALL_CONTROLS = CONTROLS + HEAD_CONTROLS  # what an animation holds and a rig moves
CONTROL_INDEX = {name: index for index, name in enumerate(ALL_CONTROLS)}
LOWEST = tuple(-1.0 if name in HEAD_CONTROLS else 0.0 for name in ALL_CONTROLS)  # of each of ALL_CONTROLS

# What speech moves, in the networks' order (`motion_dim` of the shipped model): jaw, lips, cheeks, nose, tongue.
SPEECH_CONTROLS = (
    "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker",
    "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight",
    "tongueOut", "tongueTipUp", "tongueBodyUp",
)  # fmt: skip
UPPER_FACE_CONTROLS = tuple(name for name in CONTROLS if name.startswith(("brow", "eye")))
