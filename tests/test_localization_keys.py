"""Key instants: the paper's boundaries, apexes, both, uniform; density and offset."""

import itertools

import numpy as np
import pytest

from kmtalk_core.errors import InputError
from kmtalk_core.localization.keys import RULES, key_instants, offset_instants, uniform_instants
from kmtalk_core.phones import BILABIALS, Alignment, Phone, Word

SEGMENTS = [("P", 0.3, 0.4), ("AY", 0.4, 0.7), ("M", 0.7, 0.8), ("T", 3.2, 3.25), ("IY", 3.25, 3.27), ("V", 3.27, 3.4)]


@pytest.fixture
def alignment():
    return Alignment.from_segments((Phone(*s) for s in SEGMENTS), (), 4.01, "test")


def random_alignment(seed: int) -> Alignment:
    rng = np.random.default_rng(seed)
    edges = np.cumsum(rng.uniform(0.01, 0.25, 60))
    labels = rng.choice(["SIL", "AA", "P", "F", "S", "OW", "T"], 59)
    phones = (Phone(str(label), a, b) for label, (a, b) in zip(labels, itertools.pairwise(edges), strict=True))
    return Alignment.from_segments(phones, (), float(edges[-1] + rng.uniform(0, 1)), "test")


def at(instants, alignment, label):
    return [
        float(t)
        for t, i in zip(instants.times, instants.phone_index, strict=True)
        if alignment.phones[i].label == label
    ]


@pytest.mark.parametrize("fps", [12.0, 23.976, 30.0, 60.0])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(3))
def test_what_every_rule_promises(rule, fps, seed):
    alignment = random_alignment(seed)
    instants = key_instants(alignment, rule, fps)
    frames = instants.times * fps
    assert np.abs(frames - np.rint(frames)).max() < 1e-6  # whole frames,
    assert (np.diff(np.rint(frames)) > 0).all()  # each once, ascending,
    assert instants.times[0] == 0.0  # the first
    assert round(frames[-1]) == int(np.floor(alignment.duration * fps + 1e-6))  # and the last always
    assert instants.times[-1] <= alignment.duration + 1e-9
    assert (instants.position >= 0).all() and (instants.position <= 1).all()
    starts = np.array([p.start for p in alignment.phones])[instants.phone_index]
    ends = np.array([p.end for p in alignment.phones])[instants.phone_index]
    assert (instants.times > starts - 0.51 / fps).all() and (instants.times < ends + 0.51 / fps).all()


def test_boundaries_are_the_papers_rule(alignment):
    instants = key_instants(alignment, "boundaries", 100.0)
    edges = {0.0, 4.01, *(p.start for p in alignment.phones)}
    assert instants.times == pytest.approx(sorted(edges), abs=1e-9)


def test_apexes_are_where_the_articulation_is_reached(alignment):
    instants = key_instants(alignment, "apexes", 100.0)
    assert at(instants, alignment, "P") == pytest.approx([0.34])  # before the burst
    assert at(instants, alignment, "M") == pytest.approx([0.75])
    assert at(instants, alignment, "AY") == pytest.approx([0.475, 0.625], abs=0.006)  # a diphthong has two
    assert at(instants, alignment, "V") == pytest.approx([0.5 * (3.27 + 3.4)], abs=0.006)
    rest = [t for t in at(instants, alignment, "SIL") if 0.8 < t < 3.2]
    assert rest[0] == pytest.approx(0.92) and rest[-1] == pytest.approx(3.08)
    assert max(np.diff(rest)) <= 1.0


def test_both_is_their_union(alignment):
    both = set(np.rint(key_instants(alignment, "both", 100.0).times * 100).astype(int))
    for rule in ("apexes", "boundaries"):
        assert set(np.rint(key_instants(alignment, rule, 100.0).times * 100).astype(int)) <= both


def test_a_lip_closure_is_never_crowded_out():
    # At 10 fps several phones share a frame.
    alignment = Alignment.from_segments(
        (Phone(label, 0.3 + 0.02 * i, 0.32 + 0.02 * i) for i, label in enumerate(["S", "T", "P", "S", "T", "AA"])),
        (),
        1.0,
        "test",
    )
    for gap in (0.0, 0.2):
        instants = key_instants(alignment, "both", 10.0, min_gap=gap)
        assert any(alignment.phones[i].label in BILABIALS for i in instants.phone_index)


def test_min_gap_thins(alignment):
    dense, thin = (key_instants(alignment, "both", 30.0, min_gap=gap) for gap in (0.0, 0.2))
    assert len(thin.times) < len(dense.times)
    assert np.diff(thin.times)[:-1].min() >= 0.2 - 1e-9
    assert {round(t, 6) for t in thin.times} <= {round(t, 6) for t in dense.times}


def test_uniform_takes_a_third_of_the_frames():
    instants = uniform_instants(10.0, 30.0)
    assert len(instants.times) == 101 and np.diff(instants.times) == pytest.approx(0.1)
    assert len(uniform_instants(10.0, 30.0, share=0.1).times) == 31
    with pytest.raises(InputError, match="share of key frames"):
        uniform_instants(1.0, 30.0, share=0.0)


def test_a_uniform_alignment_gets_uniform_keys_by_any_rule():
    alignment = Alignment((Phone("SIL", 0.0, 2.0),), (), 2.0, "uniform")
    assert (key_instants(alignment, "apexes").times == uniform_instants(2.0).times).all()


def test_offset_moves_every_instant_and_keeps_its_phone(alignment):
    instants = key_instants(alignment, "boundaries", 30.0)
    later = offset_instants(instants, 1, 30.0, alignment.duration)
    assert later.times == pytest.approx(instants.times[:-1] + 1 / 30)
    assert (later.phone_index == instants.phone_index[:-1]).all()
    earlier = offset_instants(instants, -1, 30.0, alignment.duration)
    assert earlier.times == pytest.approx(instants.times[1:] - 1 / 30)


def test_unknown_rule(alignment):
    with pytest.raises(InputError, match="no key rule sometimes; choose one of"):
        key_instants(alignment, "sometimes")


def test_sound_shorter_than_a_frame():
    alignment = Alignment((Phone("P", 0.0, 0.01),), (), 0.01, "test")
    for rule in RULES:
        assert key_instants(alignment, rule).times.tolist() == [0.0]


def test_the_part_from_a_time_on_counts_from_there():
    words = (Word("early", 0.1, 0.4), Word("across", 0.4, 0.9), Word("late", 0.9, 1.5))
    whole = Alignment.from_segments((Phone("P", 0.1, 0.4), Phone("AA", 0.4, 0.9)), words, 2.0, "test", ("A note.",))
    part = whole.from_time(0.5)
    assert [(p.label, round(p.start, 6), round(p.end, 6)) for p in part.phones] == [("AA", 0.0, 0.4), ("SIL", 0.4, 1.5)]
    assert [(w.label, round(w.start, 6), round(w.end, 6)) for w in part.words] == [
        ("across", 0.0, 0.4),
        ("late", 0.4, 1.0),
    ]
    assert (part.duration, part.source, part.warnings) == (1.5, "test", ("A note.",))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(2))
def test_density_is_the_share_of_keys_that_stays(rule, seed):
    alignment = random_alignment(seed)
    every = key_instants(alignment, rule)
    for density in (0.0, 0.1, 0.5, 0.9):
        some = key_instants(alignment, rule, density=density)
        assert len(some.times) == pytest.approx(max(density * len(every.times), 2), abs=2)
        assert (some.times[0], some.times[-1]) == (every.times[0], every.times[-1])
        if rule != "uniform":
            assert set(some.times) <= set(every.times)


def test_fewer_keys_keep_the_closures_longest_and_spread():
    alignment = random_alignment(3)
    every, some = key_instants(alignment, "both"), key_instants(alignment, "both", density=0.3)
    closed = at(every, alignment, "P")
    assert closed and set(closed) <= set(at(some, alignment, "P")) | {t for t in closed if t not in apexes(every)}
    gaps = np.diff(some.times)
    assert gaps.max() < 12 * gaps.mean()


def apexes(instants):
    return {float(t) for t, kind in zip(instants.times, instants.kind, strict=True) if kind == "apex"}


def test_density_out_of_range(alignment):
    with pytest.raises(InputError, match=r"key density is 1\.5; choose 0"):
        key_instants(alignment, density=1.5)
