"""Shards as an array of jobs on a real Slurm, of which one task is killed and put back into the queue."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_batch import lines_of, rows

ROOT = Path(__file__).parent.parent
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue")
SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
FOUND = {name: shutil.which(name, path=SEARCHED) for name in PROGRAMS}
CONF = """
ClusterName=kmtalk
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0
JobRequeue=1
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""

pytestmark = pytest.mark.skipif(
    not all(FOUND.values()) or not hasattr(os, "getuid") or os.getuid() != 0, reason="needs Slurm, munge and root"
)


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@contextmanager
def running(*command, log):
    """A daemon in the foreground, ended by its own number."""
    with log.open("wb") as out:
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def slurm(tmp_path):
    """A cluster of this machine; gives the environment of its commands."""
    folder = tmp_path / "slurm"
    for part in (folder, folder / "state", folder / "spool"):
        part.mkdir(mode=0o755)
    for above in tmp_path.parents:  # munge wants folders that others cannot change
        if above.stat().st_mode & 0o022 and not above.stat().st_mode & 0o1000:
            pytest.skip("the folder of the tests is not safe enough for munge")
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    host = socket.gethostname().split(".")[0]
    conf.write_text(CONF.format(host=host, folder=folder, ports=free_ports(2)))
    munged = [FOUND["munged"], "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munged += [f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/seed"]
    environment = os.environ | {"SLURM_CONF": str(conf), "PATH": SEARCHED}
    with running(*munged, log=folder / "munged.out"):
        try:
            wait_for(lambda: (folder / "munge.socket").exists(), folder)
        except AssertionError as error:
            pytest.skip(f"munge does not start here: {error}")
        control = [FOUND["slurmctld"], "-D", "-c", "-f", conf]
        node = [FOUND["slurmd"], "-D", "-c", "-f", conf, "-N", host]
        with running(*control, log=folder / "ctld.out"), running(*node, log=folder / "d.out"):
            idle = ["sinfo", "-h", "-o", "%T"]
            try:
                wait_for(lambda: "idle" in said(idle, environment), folder)
            except AssertionError as error:
                pytest.skip(f"Slurm does not start here: {error}")
            yield environment


def said(command, environment):
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout


def wait_for(condition, folder, seconds=120.0):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            logs = [f"{path.name}: {path.read_text(errors='replace')[-600:]}" for path in folder.glob("*.[lo][ou][gt]")]
            raise AssertionError("\n".join(logs))
        time.sleep(0.2)


def test_an_array_of_shards_survives_a_requeued_task(slurm, tmp_path):
    lines_of(tmp_path, 60)
    (tmp_path / "m.csv").write_text("audio\n" + "".join(f"line{number}.wav\n" for number in range(60)))
    batch = f"{sys.executable} -m stand_ins.batch_work batch {tmp_path / 'm.csv'} --out {tmp_path / 'out'} --resume"
    script = tmp_path / "array.sh"
    script.write_text(
        f"#!/bin/sh\n#SBATCH --array=1-4%2\n#SBATCH --requeue\n#SBATCH --output={tmp_path}/%a.log\n"
        f"export PYTHONPATH={ROOT}:{ROOT / 'tests'}\n{batch} --workers 1 --shard $SLURM_ARRAY_TASK_ID/4\n"
    )
    job = said(["sbatch", "--parsable", str(script)], slurm).strip()
    assert job.isdecimal()
    out = tmp_path / "out"
    wait_for(lambda: (tmp_path / "log").exists() and len(list(out.glob("line*.npz"))) >= 3, tmp_path / "slurm")
    subprocess.run(["scontrol", "requeue", f"{job}_1"], env=slurm, check=False)
    wait_for(lambda: not said(["squeue", "-h", "-j", job], slurm).strip(), tmp_path / "slurm", 300.0)
    made = (tmp_path / "log").read_text().split()
    assert len(set(made)) == 60 and len(made) <= 62, "lines were made twice"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    subprocess.run(batch.split(), env=environment, check=True)
    assert [row["status"] for row in rows(out)] == ["skipped"] * 60
