"""Damaged files of every kind that is read: a result, or one sentence of InputError, and nothing else."""

import io
import json
import random
import re
import struct
import time
import zipfile

import numpy as np
import pytest
import test_importers as classic
import test_importers_kinds as kinds
import test_transcript as transcripts

from kmtalk_core.errors import InputError
from kmtalk_core.localization.corrections import load_corrections
from kmtalk_core.localization.importers import read_alignment
from kmtalk_core.localization.text import spoken_text
from kmtalk_core.localization.transcript import read_transcript
from kmtalk_core.phones import PHONES
from kmtalk_core.rig.mesh import load_mesh
from kmtalk_core.rig.profiles import find_landmarks

NASTY = (
    b"NaN", b"-inf", b"1e400", b"-1", b"0", b"1e300", b"9" * 400, b"99999999999", b"-99999999999", b"1e-320", b"null",
    b"[]", b"{}", b'""', b'"', b"'", b"<", b"<!--", b"]]>", b"&x;", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"\r",
    b"\\", b"/", b"#", b"[" * 500, b"(" * 500, b'{"a":' * 200, b"--> ", b"\xe2\x80\xae", b"\xf0\x9f\x98\x80",
)  # fmt: skip
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
MUTATIONS = 12  # of each file and kind of mutation


def mutated(data: bytes, rng: random.Random, way: int) -> bytes:
    at, other = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    near = min(at + rng.randrange(1, 40), len(data))
    if way == 0:  # cut short
        return data[:at]
    if way == 1:  # a part is missing
        return data[:at] + data[near:]
    if way == 2:  # a part comes twice, or elsewhere
        return data[:other] + data[at:near] + data[other:]
    if way == 3:  # something nasty in between
        return data[:at] + rng.choice(NASTY) + data[at:]
    if way == 4:  # a number is another one
        if numbers := list(NUMBER.finditer(data)):
            match = rng.choice(numbers)
            return data[: match.start()] + rng.choice(NASTY[:10]) + data[match.end() :]
        return data
    if way == 5:  # bits are turned
        turned = bytearray(data)
        for _ in range(rng.randrange(1, 8)):
            turned[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(turned)
    return bytes(rng.randrange(256) for _ in range(rng.randrange(200)))  # nothing of it is left


WAYS = 7


def check(read, files, name):
    """Every mutation of every file; `read` gets a file's bytes."""
    rng = random.Random(20_24)
    start = time.process_time()
    for data in files:
        for way in range(WAYS):
            for _ in range(MUTATIONS):
                broken = mutated(data, rng, way)
                try:
                    read(broken)
                except InputError as error:
                    sentence = str(error)
                    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 600, (sentence, broken)
                    assert "Traceback" not in sentence and name in sentence, sentence
    assert time.process_time() - start < 60.0


def check_alignment(data):
    found = read_alignment(data, "x")
    edges = [t for p in found.phones for t in (p.start, p.end)]
    assert np.isfinite(edges).all() and (np.diff(edges) >= -1e-6).all() and edges[0] >= 0.0
    assert {p.label for p in found.phones} <= set(PHONES)
    assert all(0.0 <= w.start <= w.end <= found.duration + 1e-6 for w in found.words)


GRID = kinds.grid(("words", [(0.2, 0.6, "please"), (1.2, 1.6, "pat")]), ("phones", kinds.PLEASE + kinds.PAT))
ALIGNMENTS = [text.encode() for text in (*classic.ALL, *kinds.RECOGNISED, GRID, transcripts.ASS, transcripts.TTML)]


def test_alignments():
    check(check_alignment, ALIGNMENTS, "x")


def test_transcripts(tmp_path):
    path = tmp_path / "x.txt"

    def read(data):
        path.write_bytes(data)
        for word in spoken_text(read_transcript(path)).words:
            assert word.label and all(said.isascii() for said in word.spoken)

    plain = "Mr. Smith: It’s $1,234.56 [sighs] — 5:30pm, 3/4 of 20 km; call +44 20 7946 0018!\n0:01 Hello <b>you</b>\n"
    texts = [plain, transcripts.SRT, transcripts.VTT, transcripts.HIGHLIGHTED, transcripts.SCROLLING, transcripts.ASS,
             transcripts.TTML, transcripts.SBV, transcripts.LRC]  # fmt: skip
    check(read, [*(text.encode() for text in texts), plain.encode("utf-16"), plain.encode("cp1252")], "x.txt")


def mesh_files():
    points = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 0.0), (0.5, 0.5, 1.0)]
    polygons = [(0, 1, 2, 3), (0, 1, 4), (2, 3, 4)]
    obj = "# head\no a\n" + "".join(f"v {x} {y} {z}\n" for x, y, z in points)
    obj += "f 1/1/1 2//2 3 4\nf -5 -4 \\\n-1\nf 3 4 5\n"
    yield ".obj", obj.encode()
    for kind in ("ascii", "binary_little_endian", "binary_big_endian"):
        head = (
            f"ply\nformat {kind} 1.0\ncomment x\nelement vertex 5\nproperty float x\nproperty float y\n"
            "property float z\nproperty uchar red\nelement face 3\nproperty list uchar int vertex_indices\nend_header\n"
        ).encode()
        order = ">" if "big" in kind else "<"
        if kind == "ascii":
            rows = [f"{x} {y} {z} 9" for x, y, z in points] + [f"{len(p)} {' '.join(map(str, p))}" for p in polygons]
            yield ".ply", head + "\n".join(rows).encode()
        else:
            body = b"".join(struct.pack(order + "3fB", *p, 9) for p in points)
            yield ".ply", head + body + b"".join(struct.pack(f"{order}B{len(p)}i", len(p), *p) for p in polygons)
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", compression) as archive:
            for name, array in (("vertices", np.array(points)), ("faces", np.array([[0, 1, 2, 3], [0, 1, 4, -1]]))):
                member = io.BytesIO()
                np.lib.format.write_array(member, array)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
        yield ".npz", held.getvalue()


@pytest.mark.filterwarnings("error")
def test_meshes(tmp_path):
    for suffix, data in mesh_files():
        path = tmp_path / f"x{suffix}"

        def read(broken, path=path):
            path.write_bytes(broken)
            mesh = load_mesh(path)
            assert np.isfinite(mesh.vertices).all() and mesh.faces.max() < len(mesh.vertices)
            try:
                find_landmarks(mesh)
            except InputError as error:
                assert "landmarks of this mesh are not known" in str(error)

        check(read, [data], f"x{suffix}")


def test_corrections(tmp_path):
    path = tmp_path / "x.json"
    whole = json.dumps(
        [{"tier": "word", "at": 0.5, "label": "please"}, {"tier": "phone", "at": 1.5, "start": 1, "end": 2}]
    )

    def read(data):
        path.write_bytes(data)
        load_corrections(path, "0" * 64)

    check(read, [whole.encode()], "")
