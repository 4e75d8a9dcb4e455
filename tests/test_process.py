"""Freed memory serves the process again."""

import os
import platform
import subprocess
import sys

import pytest

from kmtalk_core.process import MMAP_THRESHOLD, TRIM_THRESHOLD

FAULTS = """
import resource
from kmtalk_core.process import settle
settle()
import numpy as np
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(300_000, np.float32)  # longer than what glibc keeps of its own accord
        np.ones(3_000_000, np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator than glibc's")
@pytest.mark.parametrize("theirs", [False, True])
def test_freed_memory_serves_again_unless_somebody_set_otherwise(theirs):
    names = [variable for _, variable in (MMAP_THRESHOLD, TRIM_THRESHOLD)]
    environment = {k: v for k, v in os.environ.items() if k not in names}
    environment |= dict.fromkeys(names, "65536") if theirs else {}
    faults = int(subprocess.check_output([sys.executable, "-c", FAULTS], env=environment, text=True))
    assert (faults > 5000) if theirs else (faults < 500)
