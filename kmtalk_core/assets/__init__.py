"""What ships with the core: the compact model, the demo head, the sample speech, the dictionary and the g2p weights."""

from pathlib import Path

ASSETS = Path(__file__).parent
COMPACT_CHECKPOINT = ASSETS / "kmtalk_compact.npz"
DEMO_HEAD = ASSETS / "demo_head.npz"
FAMILIES = ASSETS / "families"  # of shape keys, see retarget.families
BONES = ASSETS / "bones.json"  # of heads in the skeletons that characters have, see retarget.skeletons
GLYPHS = ASSETS / "glyphs.npz"  # of all characters, for words in pictures; see delivery.lettering
LIP_MOTION = ASSETS / "lip_motion.npz"  # of the demo head, see retarget.reference
SAMPLE_SPEECH = ASSETS / "sample_speech.flac"  # what it says is in the .txt beside it
RECOGNISER = ASSETS / "recogniser.npz"  # not in a lean build
REPORT_HEAD = ASSETS / "report_head.json"  # the demo head as reports draw it, made by tools/make_report_head.py
NEAR_VOICE = ASSETS / "near_voice.npz"  # the network that knows who is near among voices, see near_voice
SOUND_KINDS = ASSETS / "sound_kinds.npz"  # the network that knows laughs and breaths, see sound_kinds
LANDMARK_FINDER = ASSETS / "landmark_finder.npz"  # see landmarks.sight
