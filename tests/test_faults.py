"""A small version of `python -m benchmarks.faults`: after a fault, the next run makes the right table."""

import sys

import pytest

from benchmarks import faults

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="faults are made by Linux's means")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return faults.Place(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize(
    ("fault", "tries"),
    [
        ("killed, one worker", 3),
        ("killed while it writes an entry", 1),
        ("killed, one of two runs on one cache", 1),
        ("a truncated shard", 1),
        ("a shard truncated in the run", 1),
        ("a full disk for the cache", 1),
        ("a full disk for the table", 1),
        ("a read-only cache", 1),
    ],
)
def test_after_a_fault_the_next_run_makes_the_right_table(place, fault, tries):
    count = faults.measure(fault, tries, 1, place)
    if count.reason:
        pytest.skip(f"no file system can be mounted here: {count.reason}")
    assert count.good, count
    assert count.tries == tries


def test_a_fault_that_costs_something_is_seen(place):
    """The count tells a lost row, an entry that is made again, and what is left lying."""
    right = place.right.splitlines(keepends=True)
    place.out.write_bytes(b"".join([*right[:3], right[3].replace(b".", b",", 1), *right[4:]]))
    place.cache.mkdir()
    (place.cache / ".x.npz.here.1.x.part").touch()
    count = faults.Count("a fault", tries=1)
    faults.judge(place, count, place.out, {"an entry.npz": 1})
    place.clear()
    assert (count.right, count.lost, count.again, count.litter, count.good) == (0, 1, 1, 1, False)
