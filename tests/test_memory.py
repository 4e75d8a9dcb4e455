"""What waits on the disk, and how memory is given back."""

import errno
import mmap
import os
import subprocess
import sys

import numpy as np
import pytest

from kmtalk_core import memory
from kmtalk_core.memory import give_back, waiting_zeros

needs_disk = pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="arrays stay in memory here")
RESIDENT = """
import re, pathlib, numpy as np
from kmtalk_core.memory import give_back, waiting_zeros
def resident(): return int(re.search(r"VmRSS:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024
array = waiting_zeros((64, 1024, 512), np.float16)
array[:] = 3
before = resident()
give_back(array)
print(before - resident(), (array == 3).all())
"""

GROWN = """
import re, pathlib, sys, numpy as np
from kmtalk_core.memory import give_back_at_once
def resident(): return int(re.search(r"VmRSS:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024
give_back_at_once()
before, kept = resident(), []
for megabytes in (2, 4, 6, 8, 12, 16):
    large = [np.ones(megabytes << 17) for _ in range(3)]
    kept.append(np.ones(1 << 12))  # lies behind them
    del large
print(resident() - before)
"""


@needs_disk
def test_a_large_array_waits_outside_of_memory_and_is_as_it_was():
    if not sys.platform.startswith("linux"):
        pytest.skip("counts memory as Linux does")
    freed, same = subprocess.check_output([sys.executable, "-c", RESIDENT], text=True).split()
    assert float(freed) > 50 and same == "True"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts memory as Linux does")
def test_large_arrays_leave_no_gaps_behind():
    assert float(subprocess.check_output([sys.executable, "-c", GROWN], text=True)) < 8


@needs_disk
def test_a_full_disk_leaves_the_array_in_memory(monkeypatch):
    monkeypatch.setattr(memory, "IN_MEMORY", 100)

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert isinstance(waiting_zeros((10, 20), np.float16).base, mmap.mmap)
    monkeypatch.setattr(os, "posix_fallocate", full)
    array = waiting_zeros((10, 20), np.float16)
    assert array.base is None and not array.any()
    give_back(array, np.ones(3)[1:])


def test_a_small_array_is_an_ordinary_one():
    assert waiting_zeros((3, 4), np.float16).base is None
