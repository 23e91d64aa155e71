"""What breaks a run, and whether the next one makes it good: kills, disks, shards, and two runs on one cache.

    python -m benchmarks.faults                  # 40 kills of a run with one worker, and all other faults
    python -m benchmarks.faults --kills 4        # a small version

A real `rmt-lab analyze CHECKPOINT --cache DIR --out FILE.csv` is killed by SIGKILL at a random moment of its work: a
number of finished entries is drawn, from one to all but one, and a pause after it of up to the time of one entry. A
kill that came after the last entry is drawn again. Then the same command runs once more, and

- its table must be, byte for byte, that of a run without a cache ("rows lost": lines that are missing or differ);
- an entry that was finished before the fault must be read and not computed again ("made again");
- no half-written file may stay ("litter").

Full disks and read-only folders are file systems of their own (a tmpfs of some kB, a read-only bind mount), mounted in
a mount namespace that ends with the run. They need util-linux and the right to make one: where it is refused, the line
says "not tried". Linux only. Exit status 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .synthetic import save, save_shard

ROOT = Path(__file__).parents[1]
ENV = os.environ | {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
ENV |= {"PYTHONPATH": str(ROOT)}
SHAPES = {f"model.layers.{i}.mlp.up_proj.weight": (1000 + 8 * i, 800) for i in range(12)}
LONGEST = 300.0  # seconds that a run may take
SPAN = 3.0  # seconds of work, about, from which the pause before a kill is drawn

PLAIN = "import sys; from rmt_lab.cli import main; sys.exit(main(sys.argv[1:]))"
LOKY = """
import sys, joblib
from rmt_lab.cli import main
with joblib.parallel_config("loky", n_jobs=2):
    sys.exit(main(sys.argv[1:]))
"""
DIES_WRITING = """
import os, sys
own, left = os.replace, [int(sys.argv.pop(1))]
def replace(source, target):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), 9)
    own(source, target)
os.replace = replace
from rmt_lab.cli import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass
class Count:
    """What was tried of one fault, and what came of it."""

    fault: str
    tries: int = 0
    right: int = 0
    lost: int = 0
    again: int = 0
    litter: int = 0
    wrong: list[str] = field(default_factory=list)
    reason: str = ""  # why it was not tried

    @property
    def good(self) -> bool:
        return self.right == self.tries and not (self.lost or self.again or self.litter or self.wrong)


class Place:
    """A checkpoint of two shards, the right table of it, and an empty cache."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache, self.out = folder, folder / "kept", folder / "details.csv"
        self.checkpoint = folder / "model"
        self.checkpoint.mkdir()
        per_shard = 1.05 * sum(2 * n * m for n, m in SHAPES.values()) / 2
        self.shards = save(self.checkpoint, SHAPES, per_shard)
        self.groups: list[int] = []
        self.right = self.table_without_cache()

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen(command, env=ENV, cwd=ROOT, stdout=nowhere, stderr=nowhere, start_new_session=True)
        self.groups.append(process.pid)
        return process

    def clear(self) -> None:
        """End what is left of the runs (loky workers outlive their parent by minutes) and remove what they wrote."""
        while self.groups:
            with suppress(ProcessLookupError):
                os.killpg(self.groups.pop(), signal.SIGKILL)
        shutil.rmtree(self.cache, ignore_errors=True)
        for path in [*self.folder.glob("*.csv"), *self.litter()]:
            path.unlink(missing_ok=True)

    def table_without_cache(self) -> bytes:
        out = self.folder / "right.csv"
        run(self.command(cached=False, out=out))
        return out.read_bytes()

    def command(self, program: str = PLAIN, *more: str, cached: bool = True, out: Path | None = None) -> list[str]:
        command = [sys.executable, "-c", program, *more, "analyze", str(self.checkpoint), "--out", str(out or self.out)]
        return [*command, "--cache", str(self.cache)] if cached else command

    def entries(self) -> dict[str, int]:
        """The finished entries of the cache, each with the time at which it was written."""
        return {path.name: path.stat().st_mtime_ns for path in self.cache.glob("??/*.npz")}

    def litter(self) -> list[Path]:
        return list(self.folder.rglob("*.part"))


def run(command: list[str], code: int = 0) -> str:
    """Run a command to its end; returns what it told on stderr."""
    done = subprocess.run(command, env=ENV, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST)
    if done.returncode != code or "Traceback" in done.stderr:
        raise Wrong(f"exit code {done.returncode}, expected {code}: {done.stderr.strip()[-400:]}")
    return done.stderr


class Wrong(Exception):
    """A run ended otherwise than it should."""


def wait_for(place: Place, entries: int, process: subprocess.Popen[bytes]) -> None:
    """Until that many entries are finished, or the process is."""
    end = time.monotonic() + LONGEST
    while len(place.entries()) < entries and process.poll() is None:
        if time.monotonic() > end:
            process.kill()
            raise Wrong(f"{len(place.entries())} entries after {LONGEST:.0f} s")
        time.sleep(0.003)


def killed(place: Place, rng: np.random.Generator, command: list[str]) -> bool:
    """Start a run and kill it at a random moment; whether that was within its work."""
    process = place.start(command)
    wait_for(place, int(rng.integers(1, len(SHAPES))), process)
    time.sleep(rng.uniform(0, SPAN / len(SHAPES)))
    process.kill()
    process.wait()
    return len(place.entries()) < len(SHAPES)


def second_run(place: Place, count: Count, before: dict[str, int], command: list[str] | None = None) -> None:
    """The same command once more, and what is wrong with what it leaves."""
    run(command or place.command())
    judge(place, count, place.out, before)


def judge(place: Place, count: Count, out: Path, before: dict[str, int]) -> None:
    found, after = out.read_bytes(), place.entries()
    count.right += found == place.right
    expected, lines = place.right.splitlines(), set(found.splitlines())
    count.lost += sum(line not in lines for line in expected)
    count.again += sum(after.get(name) != written for name, written in before.items())
    count.litter += len(place.litter())


def a_kill(program: str = PLAIN, *more: str) -> Callable[[Place, np.random.Generator, Count], None]:
    def once(place: Place, rng: np.random.Generator, count: Count) -> None:
        command = [*place.command(program), *more]
        while not killed(place, rng, command):
            place.clear()
        second_run(place, count, place.entries(), command)

    return once


def a_kill_while_it_writes(place: Place, rng: np.random.Generator, count: Count) -> None:
    """The process ends between the writing of an entry and its name: the moment that a random kill seldom meets."""
    run(place.command(DIES_WRITING, str(rng.integers(2, len(SHAPES) + 1))), code=-9)
    if not place.litter():
        raise Wrong("nothing was half-written")
    second_run(place, count, place.entries())


def a_kill_of_one_of_two(place: Place, rng: np.random.Generator, count: Count) -> None:
    """Two runs on one cache; the other goes on, and finishes what the killed one was at."""
    other_out = place.folder / "other.csv"
    victim, other = place.start(place.command()), place.start(place.command(out=other_out))
    wait_for(place, int(rng.integers(1, len(SHAPES))), victim)
    victim.kill()
    victim.wait()
    if other.wait(LONGEST) != 0 or other_out.read_bytes() != place.right:
        raise Wrong("the run that was not killed has another table")
    second_run(place, count, place.entries())  # what both were at was made twice; the next makes nothing


def two_at_once(place: Place, rng: np.random.Generator, count: Count) -> None:
    other_out = place.folder / "other.csv"
    both = place.start(place.command()), place.start(place.command(out=other_out))
    if [process.wait(LONGEST) for process in both] != [0, 0]:
        raise Wrong("a run failed")
    if place.out.read_bytes() != place.right or other_out.read_bytes() != place.right:
        raise Wrong("a run has another table")
    second_run(place, count, place.entries())


def some_work(place: Place, rng: np.random.Generator) -> dict[str, int]:
    """A cache that a killed run has begun."""
    while not killed(place, rng, place.command()):
        place.clear()
    return place.entries()


def a_truncated_shard(place: Place, rng: np.random.Generator, count: Count) -> None:
    before, whole = some_work(place, rng), place.shards[1].read_bytes()
    place.shards[1].write_bytes(whole[: len(whole) // 2])
    try:
        told = run(place.command(), code=1)
    finally:
        place.shards[1].write_bytes(whole)
    if "is truncated" not in told or place.shards[1].name not in told or told.count("\n") != 1:
        raise Wrong(f"the message is {told!r}")
    second_run(place, count, before)


def a_shard_truncated_in_the_run(place: Place, rng: np.random.Generator, count: Count) -> None:
    """The layers that cannot be read any more are rows with a reason."""
    whole = place.shards[1].read_bytes()
    process = place.start(place.command())
    wait_for(place, int(rng.integers(1, len(SHAPES) // 2)), process)
    os.truncate(place.shards[1], len(whole) // 3)  # in place: whoever has it open sees it
    try:
        code = process.wait(LONGEST)
    finally:
        place.shards[1].write_bytes(whole)
    lines = place.out.read_bytes().splitlines()
    failed = [line for line in lines if b"failed: it cannot be read" in line]
    if code != 3 or not failed or len(lines) != len(SHAPES) + 1:
        raise Wrong(f"exit code {code}, {len(failed)} failed rows of {len(lines) - 1}")
    if any(line not in place.right.splitlines() for line in lines if line not in failed):
        raise Wrong("a row that could be read differs")
    second_run(place, count, place.entries())


def a_replaced_shard(place: Place, rng: np.random.Generator, count: Count) -> None:
    """The table is the one of the new weights."""
    before, whole, right = some_work(place, rng), place.shards[0].read_bytes(), place.right
    names = list(SHAPES)[: len(SHAPES) // 2]
    save_shard(place.shards[0], names, SHAPES, seed=int(rng.integers(1, 10**6)))
    try:
        place.right = place.table_without_cache()
        if place.right == right:
            raise Wrong("the new weights are the old ones")
        second_run(place, count, before)
    finally:
        place.shards[0].write_bytes(whole)
        place.right = right


def mounted(mount: str, command: list[str], unmount: str, code: int = 0) -> str:
    """Run a command with something mounted, and again when it is unmounted or grown; returns what the first told."""
    script = f'{mount} || exit 99; "$@"; echo "first: $?" >&2; {unmount} || exit 99; "$@" 2>/dev/null'
    wrapped = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    told = run([*wrapped, *command])
    first, _, ended = told.rpartition("first: ")
    if ended.strip() != str(code):
        raise Wrong(f"the first run has exit code {ended.strip()}, expected {code}: {first}")
    return first


def tmpfs(folder: Path, size: str) -> tuple[str, str]:
    return f"mount -t tmpfs -o size={size} tmpfs '{folder}'", f"mount -o remount,size=100m '{folder}'"


def can_mount() -> str:
    """Why no file system can be mounted, or nothing."""
    try:
        done = subprocess.run(
            ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True
        )
    except FileNotFoundError:
        return "unshare is not installed"
    return done.stderr.decode().strip()[-80:] if done.returncode else ""


def a_full_disk_for_the_cache(place: Place, rng: np.random.Generator, count: Count) -> None:
    """The first run has the right table, a warning, and as many entries as there was room for."""
    place.cache.mkdir()
    mount, grow = tmpfs(place.cache, f"{int(rng.integers(20, 80))}k")
    first_out = place.folder / "first.csv"
    first = mounted(mount, place.command(), f"cp '{place.out}' '{first_out}' && {grow}")
    if "No space left" not in first:
        raise Wrong(f"the disk was not full: {first}")
    if first_out.read_bytes() != place.right:
        raise Wrong("the first run has another table")
    judge(place, count, place.out, {})


def a_full_disk_for_the_table(place: Place, rng: np.random.Generator, count: Count) -> None:
    """The first run says so in a line; what it computed is in the cache."""
    small = place.folder / "small"
    small.mkdir(exist_ok=True)
    out = small / "details.csv"
    mount, grow = tmpfs(small, "4k")
    # the second run may write no entry: their times are listed between the two
    times = f"find '{place.cache}' -name '*.npz' -printf '%f %T@\\n' > '{place.folder}/times'"
    first = mounted(mount, place.command(out=out), f"{times}; trap 'cp {out} {place.out}' EXIT; {grow}", code=1)
    if "No space left" not in first or first.count("\n") != 1:
        raise Wrong(f"the message is {first!r}")
    before = (place.folder / "times").read_text()
    if before.count("\n") != len(SHAPES):
        raise Wrong(f"{before.count(chr(10))} entries were kept")
    count.again += sum(f"{name} {t // 10**9}.{t % 10**9:09}" not in before for name, t in place.entries().items())
    judge(place, count, place.out, {})


def a_read_only_cache(place: Place, rng: np.random.Generator, count: Count) -> None:
    """Half a cache, of which one entry is damaged, in a read-only folder; then the folder is writable again."""
    before = some_work(place, rng)
    damaged = next(place.cache.glob(f"??/{next(iter(before))}"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    del before[damaged.name]
    mount = f"mount --bind '{place.cache}' '{place.cache}' && mount -o remount,bind,ro '{place.cache}'"
    first_out = place.folder / "first.csv"
    first = mounted(mount, place.command(), f"cp '{place.out}' '{first_out}' && umount '{place.cache}'")
    if "Read-only file system" not in first:
        raise Wrong(f"the folder was not read-only: {first}")
    if first_out.read_bytes() != place.right:
        raise Wrong("the first run has another table")
    judge(place, count, place.out, before)


FAULTS: dict[str, tuple[float, Callable[[Place, np.random.Generator, Count], None]]] = {
    "killed, one worker": (1, a_kill()),
    "killed, two threads": (1 / 4, a_kill(PLAIN, "--jobs", "2")),
    "killed, two loky workers": (1 / 4, a_kill(LOKY)),
    "killed, one of two runs on one cache": (1 / 4, a_kill_of_one_of_two),
    "killed while it writes an entry": (1 / 4, a_kill_while_it_writes),
    "two runs at once on one cache": (1 / 8, two_at_once),
    "a truncated shard": (1 / 8, a_truncated_shard),
    "a shard truncated in the run": (1 / 8, a_shard_truncated_in_the_run),
    "a shard replaced between the runs": (1 / 8, a_replaced_shard),
    "a full disk for the cache": (1 / 8, a_full_disk_for_the_cache),
    "a full disk for the table": (1 / 8, a_full_disk_for_the_table),
    "a read-only cache": (1 / 8, a_read_only_cache),
}  # each with its tries, as a part of --kills
MOUNTED = ("a full disk for the cache", "a full disk for the table", "a read-only cache")


def measure(fault: str, tries: int, seed: int, place: Place) -> Count:
    """Try one fault so many times."""
    count = Count(fault)
    if fault in MOUNTED and (reason := can_mount()):
        count.reason = reason
        return count
    rng = np.random.default_rng([seed, *fault.encode()])
    for _ in range(tries):
        place.clear()
        count.tries += 1
        try:
            FAULTS[fault][1](place, rng, count)
        except (Wrong, subprocess.TimeoutExpired) as error:
            count.wrong.append(str(error))
    place.clear()
    return count


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=40, help="of a run with one worker (default: 40)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", metavar="FAULT", help="faults that have one of these in their names")
    options = parser.parse_args()
    print(f"{'':38}{'':7}{'right':>8}{'rows':>7}{'made':>8}{'':>8}")
    print(f"{'fault':38}{'tries':>7}{'tables':>8}{'lost':>7}{'again':>8}{'litter':>8}", flush=True)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        for fault, (part, _) in FAULTS.items():
            if options.only and not any(text in fault for text in options.only):
                continue
            c = measure(fault, max(1, round(part * options.kills)), options.seed, place)
            good &= c.good
            if c.reason:
                print(f"{fault:38}not tried: {c.reason}", flush=True)
                continue
            print(f"{fault:38}{c.tries:7}{c.right:8}{c.lost:7}{c.again:8}{c.litter:8}", flush=True)
            for text in c.wrong:
                print(f"    {text}", flush=True)
    print("all good" if good else "WRONG")
    return int(not good)


if __name__ == "__main__":
    raise SystemExit(main())
