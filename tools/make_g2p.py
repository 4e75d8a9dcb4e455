"""Take the weights of the g2p-en package's network over into kmtalk_core/assets/g2p.npz (float16).

    python -m tools.make_g2p

The package itself is not needed at run time: it would bring nltk and data that have to be downloaded.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from kmtalk_core.localization.g2p import NETWORK
from kmtalk_core.motion import save_npz

PACKAGE = "g2p-en==2.1.0"  # Kyubyong Park and Jongseok Kim, Apache-2.0
# The package's symbols in the order of its embeddings.
LETTERS = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
PHONES = (
    "<pad>", "<unk>", "<s>", "</s>", "AA0", "AA1", "AA2", "AE0", "AE1", "AE2", "AH0", "AH1", "AH2", "AO0",
    "AO1", "AO2", "AW0", "AW1", "AW2", "AY0", "AY1", "AY2", "B", "CH", "D", "DH", "EH0", "EH1", "EH2", "ER0",
    "ER1", "ER2", "EY0", "EY1", "EY2", "F", "G", "HH", "IH0", "IH1", "IH2", "IY0", "IY1", "IY2", "JH", "K",
    "L", "M", "N", "NG", "OW0", "OW1", "OW2", "OY0", "OY1", "OY2", "P", "R", "S", "SH", "T", "TH", "UH0",
    "UH1", "UH2", "UW", "UW0", "UW1", "UW2", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE], check=True
        )
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive, np.load(io.BytesIO(archive.read("g2p_en/checkpoint20.npz"))) as weights:
            arrays = {name: weights[name].astype(np.float16) for name in weights.files}
            licence = next(name for name in archive.namelist() if name.endswith("LICENSE.txt"))
            NETWORK.with_name("g2p_LICENSE.txt").write_bytes(archive.read(licence))
    save_npz({"letters": np.array(LETTERS), "phones": np.array(PHONES), **arrays}, NETWORK)
    print(f"{NETWORK} written ({NETWORK.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
