"""What each experiment trains, and what it compares. A `Row` is a line of its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmtalk_core.errors import InputError

if TYPE_CHECKING:
    from training.captured.dataset import DataSet

EXPERIMENTS = ("main", "ablations", "robustness", "key-count", "plugged")
PEERS = ("faceformer", "codetalker", "selftalk")
ON_MESHES = ("ottalk",)  # need the faces of the mesh


@dataclass(frozen=True)
class Training:
    """A training: the recipe of `method`, with `changes` (table → options). `shared` stages are taken from the training
    of that method without changes: they are not touched by what is changed."""

    name: str
    method: str
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One evaluation of a `training`; `keys` changes the choice of key instants, `keys_from` names the training whose
    motion is completed. Or of `predictions` of another program, a folder. `text` says in words what differs."""

    name: str
    training: Training | None
    text: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    keys_from: Training | None = None
    predictions: Path | None = None


@dataclass(frozen=True)
class Comparison:
    """Two rows whose difference is the question: `better` is the one that the paper finds better."""

    question: str
    better: str
    worse: str


@dataclass(frozen=True)
class Plan:
    title: str
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]


TOLD = {
    "voca": "VOCA's networks on wav2vec 2.0, a variant",
    "meshtalk": "MeshTalk (Richard et al., ICCV 2021)",
    "faceformer": "FaceFormer (Fan et al., CVPR 2022)",
    "codetalker": "CodeTalker (Xing et al., CVPR 2023)",
    "selftalk": "SelfTalk (Peng et al., ACM MM 2023)",
    "ottalk": "OT-Talk, after its abstract (Wang et al., 2025)",
}
KMTALK = Training("kmtalk", "kmtalk")
OF_PEER = {name: Training(name, name) for name in PEERS}
FULL = Row("kmtalk", KMTALK, "KMTalk")


def main_table(with_faces: bool = True) -> Plan:
    """Table 1, and OT-Talk where the faces of the mesh are known: the systems side by side."""
    names = ("voca", "meshtalk", *PEERS, *(ON_MESHES if with_faces else ()))
    systems = {name: Training(name, name) for name in names}
    rows = (*(Row(name, training, TOLD[name]) for name, training in systems.items()), FULL)
    against = tuple(Comparison(f"KMTalk against {name}", "kmtalk", name) for name in systems)
    return Plan("Main table (the paper's Table 1)", rows, against)


def with_others(plan: Plan, others: Mapping[str, Path]) -> Plan:
    """The plan with rows for predictions of other programs, by name, against which KMTalk is held."""
    names = {row.name for row in plan.rows}
    rows = [Row(name, None, f"predictions in {path.name}", predictions=path) for name, path in others.items()]
    against = [Comparison(f"KMTalk against {name}", FULL.name, name) for name in others if FULL.name in names]
    return replace(plan, rows=(*plan.rows, *rows), comparisons=(*plan.comparisons, *against))


def beside(plan: Plan, ours: str, with_faces: bool) -> Plan:
    """The plan with OT-Talk as a row, where the faces of the mesh are known; the row `ours` is held against it."""
    rows = [Row(name, Training(name, name), TOLD[name]) for name in (ON_MESHES if with_faces else ())]
    against = [Comparison(f"KMTalk against {row.name}", ours, row.name) for row in rows]
    return replace(plan, rows=(*plan.rows, *rows), comparisons=(*plan.comparisons, *against))


def only(plan: Plan, names: Sequence[str]) -> Plan:
    """The plan with these rows alone. Raises InputError for one that it lacks."""
    known = [row.name for row in plan.rows]
    if strange := [name for name in names if name not in known]:
        raise InputError(f"{plan.title} has no row {strange[0]!r}; choose from {', '.join(known)}.")
    return replace(
        plan,
        rows=tuple(row for row in plan.rows if row.name in names),
        comparisons=tuple(c for c in plan.comparisons if c.better in names and c.worse in names),
    )


def ablations() -> Plan:
    """Table 3: without phoneme-based localization, without the key-motion decoder, without audio guidance."""
    uniform = Training("uniform", "kmtalk", {"keys": {"rule": "uniform"}})
    at_random = Training("random", "kmtalk", {"keys": {"rule": "random"}})
    unguided = Training("no_guidance", "kmtalk", {"network": {"audio_guidance": False}}, shared=("lkma",))
    rows = (
        Row("selftalk", OF_PEER["selftalk"], "SelfTalk: none of the modules"),
        Row("uniform", uniform, "uniform sampling at 33 % instead of phoneme-based localization"),
        Row("random", at_random, "random sampling at 33 %"),
        Row(
            "no_decoder",
            KMTALK,
            "SelfTalk's motion at the key instants, no key-motion decoder",
            {},
            OF_PEER["selftalk"],
        ),
        Row("no_guidance", unguided, "no audio guidance in completion"),
        FULL,
    )
    comparisons = (
        Comparison("Phoneme-based localization against uniform sampling", "kmtalk", "uniform"),
        Comparison("Phoneme-based localization against random sampling", "kmtalk", "random"),
        Comparison("The key-motion decoder against SelfTalk's motion at the keys", "kmtalk", "no_decoder"),
        Comparison("Audio guidance against none", "kmtalk", "no_guidance"),
        Comparison("All of KMTalk against SelfTalk", "kmtalk", "selftalk"),
    )
    return Plan("Ablations (the paper's Table 3)", rows, comparisons)


def robustness(localizations: tuple[str, ...]) -> Plan:
    """Table 4: the same weights with key instants by other localizers (`localizations`, the training's first), and
    moved by frames."""
    first = localizations[0]
    rows = [Row(name, KMTALK, f"localized by {name}", {"localization": name}) for name in localizations]
    for offset in (1, 2, -1):
        told = f"{first}, offset {offset}"
        rows.append(
            Row(
                told,
                KMTALK,
                f"all key instants {abs(offset)} frame{'s' * (abs(offset) > 1)} {'later' if offset > 0 else 'earlier'}",
                {"offset": offset},
            )
        )
    comparisons = tuple(Comparison(f"{first} against {row.name}", first, row.name) for row in rows[1:])
    return Plan("Robustness of the localization (the paper's Table 4)", tuple(rows), comparisons)


def key_count() -> Plan:
    """The number of key motions: rules, and uniform sampling at several rates (the paper's supplement)."""
    choices: dict[str, dict[str, Any]] = {
        "apexes": {"rule": "apexes"},
        "both": {"rule": "both"},
        **{f"uniform {share:.0%}": {"rule": "uniform", "share": share} for share in (0.1, 0.2, 0.33, 0.5)},
        "all frames": {"rule": "all"},
    }
    rows = [
        Row(name, Training(f"keys_{name.replace(' ', '_').replace('%', '')}", "kmtalk", {"keys": keys}), name)
        for name, keys in choices.items()
    ]
    comparisons = [
        Comparison("Boundaries against a third of the frames, uniform", "boundaries", "uniform 33%"),
        Comparison("Boundaries against apexes", "boundaries", "apexes"),
        Comparison("Boundaries against all frames", "boundaries", "all frames"),
    ]
    boundaries = Row("boundaries", KMTALK, "the paper's rule")
    return Plan("Number of key motions", (boundaries, *rows), tuple(comparisons))


def plugged(with_faces: bool = True) -> Plan:
    """Table 5, and OT-Talk: the motion of other systems at the key instants, completed by KMTalk without further
    training."""
    rows, comparisons = [], []
    for name in (*PEERS, *(ON_MESHES if with_faces else ())):
        training = Training(name, name)
        after = f"{name} + kmtalk"
        rows += [Row(name, training, TOLD[name]), Row(after, KMTALK, f"key motions of {name}, completed", {}, training)]
        comparisons.append(Comparison(f"{name} with KMTalk's completion against itself", after, name))
    return Plan("Key motions of other systems (the paper's Table 5)", tuple(rows), tuple(comparisons))


def plan_of(experiment: str, data: DataSet) -> Plan:
    """The plan of one of EXPERIMENTS on a data set; OT-Talk is a row of all where the faces of the mesh are known."""
    name, faces = experiment.replace("-", "_"), data.faces is not None
    if name in ("main", "plugged"):
        return (main_table if name == "main" else plugged)(faces)
    if name == "robustness":
        return beside(robustness(tuple(data.localizations)), data.localizations[0], faces)
    return beside(ablations(), FULL.name, faces) if name == "ablations" else beside(key_count(), "boundaries", faces)
