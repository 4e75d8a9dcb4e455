"""How the process of the command line ends."""

import subprocess
import sys

LEAVING = """
import atexit, sys, threading, time
from kmtalk_core.command.endings import leave
atexit.register(lambda: open(sys.argv[1], "a").write("registered "))
def work():
    time.sleep(0.3)
    open(sys.argv[1], "a").write("worked ")
if sys.argv[2] == "busy":
    threading.Thread(target=work).start()
print("said", end="")
leave(7)
"""


def test_what_was_begun_is_ended_before_the_process(tmp_path):
    for kind, left in (("idle", "registered "), ("busy", "worked registered ")):
        log = tmp_path / kind
        command = [sys.executable, "-c", LEAVING, str(log), kind]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, log.read_text()) == (7, "said", left)


def test_a_closed_pipe_is_no_reason_to_hang():
    command = f"{sys.executable} -m kmtalk_core --help | true"
    assert subprocess.run(command, shell=True, timeout=60, check=False).returncode == 0
