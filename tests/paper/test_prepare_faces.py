"""Captured people as a data set in the published layout."""

import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from kmtalk_core.animator import Animator  # noqa: E402
from kmtalk_core.assets import SAMPLE_SPEECH  # noqa: E402
from kmtalk_core.audio import load_sound  # noqa: E402
from kmtalk_core.errors import InputError  # noqa: E402
from kmtalk_core.files import load_npz  # noqa: E402
from kmtalk_core.rig.controls import CONTROL_INDEX  # noqa: E402
from training.capture.command import solved, write_result, write_wav  # noqa: E402
from training.capture.points import AROUND_MOUTH  # noqa: E402
from training.capture.tracks import Track  # noqa: E402
from training.captured.metrics import mouth_opening  # noqa: E402
from training.prepare.checks import check  # noqa: E402
from training.prepare.faces import make_faces  # noqa: E402
from training.prepare.layouts import folder as layout_of  # noqa: E402

FILMED = load_npz(Path(__file__).parent.parent / "data" / "filmed_head.npz")


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> tuple[Path, Path]:
    """Nine clips of Anna and one of Ben, as `training.capture` writes them; in one of Anna's a face is missing."""
    folder = tmp_path_factory.mktemp("people")
    count, fps = len(FILMED["controls"]), float(FILMED["fps"])
    sound = load_sound(SAMPLE_SPEECH).samples[: round(count / fps * 16000)]
    skin, frozen = np.full((count, len(AROUND_MOUTH)), 150, np.uint8), np.zeros(count, bool)
    points, size = FILMED["points_0"].astype(np.float32) / 32, tuple(FILMED["size"].tolist())
    for name, missing in (("whole", slice(0)), ("gap", slice(40, 50))):
        tracked = points.copy()
        tracked[missing] = np.nan
        track = Track(tracked, FILMED["point_ids"], fps, size, skin, frozen, sound, "0" * 64)
        (folder / name).mkdir()
        write_result(folder / name / "clip.npz", solved(name, track, None, Animator()))
        write_wav(folder / name / "clip.wav", sound)
    for who, clips in (("anna", ["whole"] * 4 + ["gap"] + ["whole"] * 4), ("ben", ["whole"])):
        (folder / who).mkdir()
        for number, kind in enumerate(clips):
            for ending in ("npz", "wav"):
                shutil.copy(folder / kind / f"clip.{ending}", folder / who / f"line_{number}.{ending}")
    return folder / "anna", folder / "ben"


def test_captured_people_become_a_data_set_that_passes_all_checks(people, tmp_path):
    make_faces(tmp_path, [people[0]], [people[1]], vertices=400)
    layout = layout_of(tmp_path)
    checked = check(layout)
    assert not checked.problems
    assert {split: len(names) for split, names in checked.splits.items()} == {
        "train": 6,
        "val": 1,
        "test": 1,
        "test_unseen": 1,
    }, "the clip with a gap is left out"
    assert checked.splits["test_unseen"] == ["ben_line-0"] and set(layout.templates) == {"anna", "ben"}
    motion = np.load(tmp_path / "vertices_npy" / "ben_line-0.npy").reshape(len(FILMED["controls"]), 400, 3)
    opened = mouth_opening(motion, layout.opening)
    true = FILMED["controls"][:, CONTROL_INDEX["jawOpen"]]
    assert np.corrcoef(opened, true)[0, 1] > 0.9
    still = np.abs(motion - layout.templates["ben"]).max((1, 2))
    assert still[0] < 0.005, "m: the head does not move"


def test_people_with_too_few_clips_are_refused(people, tmp_path):
    with pytest.raises(InputError, match=r"ben has 1 usable clips; give at least 8"):
        make_faces(tmp_path, [people[1]], vertices=400)
