"""Cues of mouth charts and what is edited in them, and poses that are blended."""

import numpy as np
import pytest

from kmtalk_core.retarget.charts import HOLD
from kmtalk_core.retarget.cues import GONE, Edit, drawings_of, edits_of, filled, with_edits
from kmtalk_core.retarget.families import as_data, families, family_of
from kmtalk_core.retarget.poses import IDENTITY, logarithm, posed_bones

FPS = 25.0
CUES = {0.0: 0, 10.0: 1, 14.0: 4, 20.0: 7, 24.0: 2}


def kept(cues, *edits, offset=0, count=40):
    return with_edits(cues, edits, FPS, offset, count)


def test_every_drawing_of_a_chart_has_one_that_is_shown_instead():
    for chart in (families()["rhubarb"], families()["preston_blair"]):
        names = drawings_of(chart)
        assert sorted(names) == sorted(chart.mouths) and "SIL" in chart.mouths[names[0]]
        for present in names:
            assert filled(chart, {present: present}) == dict.fromkeys(names, present)
        assert family_of(as_data(chart)).instead == chart.instead
    basic = filled(families()["rhubarb"], {name: name for name in "ABCDEF"})
    assert (basic["G"], basic["H"], basic["X"], basic["D"]) == ("A", "C", "A", "D")


def test_edits_are_told_and_come_back_exactly_whatever_is_computed():
    now = {0.0: 0, 10.0: 5, 15.0: 4, 24.0: 2, 30.5: 3}  # a value, a move, a deletion, an addition between frames
    edits = edits_of(CUES, now, (), FPS, 0)
    assert edits == (Edit(0.4, 5), Edit(14 / FPS, GONE), Edit(0.6, 4), Edit(20 / FPS, GONE), Edit(30.5 / FPS, 3))
    assert kept(CUES, *edits) == now
    assert edits_of(kept(CUES, *edits), kept(CUES, *edits), edits, FPS, 0) == edits
    later = kept({f + (3 if f else 0): d for f, d in CUES.items()}, *edits, offset=3)
    assert later == {f + (3 if f else 0): d for f, d in now.items()}
    assert edits_of(later, later, edits, FPS, 3) == edits
    again = edits_of(now, {**now, 10.0: 6}, edits, FPS, 0)
    assert again[0] == Edit(0.4, 6) and again[1:] == edits[1:]


@pytest.mark.parametrize("frame", [9.0, 11.0, 12.0, 13.0, 19.0, 21.0, 23.0])
def test_what_was_computed_gives_way_so_that_no_drawing_is_short(frame):
    found = kept(CUES, Edit(frame / FPS, 9))
    assert found[frame] == 9
    assert min(np.diff(list(found))) >= HOLD
    assert 0.0 in kept(CUES, Edit(0.0, GONE)) and 50.0 not in kept(CUES, Edit(2.0, 3))


def test_turns_are_blended_by_their_logarithms():
    half = np.sqrt(0.5)
    np.testing.assert_allclose(logarithm((half, half, 0, 0)), (np.pi / 2, 0, 0))
    np.testing.assert_allclose(logarithm((-half, -half, 0, 0)), (np.pi / 2, 0, 0))
    np.testing.assert_allclose(logarithm((1, 0, 0, 0)), (0, 0, 0))
    still, open_ = IDENTITY.copy(), IDENTITY.copy()
    still[3], open_[3], open_[6] = 0.1, 0.7, 1.5
    bones = posed_bones({"X": {"jaw": still}, "D": {"jaw": open_}, "A": {"lip": IDENTITY}}, "X")
    assert list(bones) == ["jaw"]
    np.testing.assert_allclose(bones["jaw"].at({}), still)
    np.testing.assert_allclose(bones["jaw"].at({"D": 1.0}), open_)
    np.testing.assert_allclose(bones["jaw"].at({"A": 1.0}), IDENTITY)
    np.testing.assert_allclose(bones["jaw"].at({"D": 0.5})[3], 0.4)
    assert bones["jaw"].moving().tolist() == [False] * 3 + [True, False, False, True, False, False]
