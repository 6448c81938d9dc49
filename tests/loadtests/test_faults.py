"""`make faults` in a short form: real processes break under load, and nothing is lost.

With LONG=1 every fault of every topology happens once.
"""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from loadtests.faults.__main__ import parse_options
from loadtests.faults.faults import SINGLE, schedule
from loadtests.faults.mutations import MUTATIONS, Mutation, main, mutate
from loadtests.faults.run import run
from loadtests.faults.summary import describe_failure
from loadtests.faults.topologies import TOPOLOGIES, Topology
from tests.conftest import LONG
from tests.support.stacks import make_stack

SHORT = "profiles: older data"


def test_nothing_is_lost_when_redis_returns_with_older_data(tmp_path: Path):
    faults = [replace(each, hold=(0.5, 0.5)) for each in SINGLE if each.name == SHORT]
    assert len(faults) == 1
    stack = partial(make_stack, workers=1)
    report = run(
        0,
        faults,
        tmp_path,
        rate=3,
        read_rate=10,
        topology=Topology(list),
        new_stack=stack,
        pause=(0.5, 0.5),
    )
    assert not report.violations, describe_failure(report, "")
    assert report.sign_ups >= 5
    assert all(window.is_over for window in report.windows)


def test_seeds_in_sequence_have_all_faults_in_a_random_order():
    size, count = len(SINGLE), 8
    first = [fault.name for fault in schedule(SINGLE, 0, count)]
    assert first == [fault.name for fault in schedule(SINGLE, 0, count)]
    assert first != [fault.name for fault in SINGLE[:count]]
    seeds = range(size // count + 1)
    names = [fault.name for seed in seeds for fault in schedule(SINGLE, seed, count)]
    assert set(names[:size]) == {fault.name for fault in SINGLE}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_can_be_applied(mutation: Mutation):
    for path, text in mutate(mutation).items():
        compile(text, path, "exec")


def test_wrong_options_are_refused(capsys: pytest.CaptureFixture[str]):
    for options in (["--topology", "ring"], ["--random", "soon"], ["--seed", "x"]):
        with pytest.raises(SystemExit, match="2"):
            parse_options(options)
    assert "soon" in capsys.readouterr().err


@pytest.mark.skipif(not LONG, reason="minutes; with LONG=1")
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_fault_of_a_topology(topology: str, tmp_path: Path):
    number = len(TOPOLOGIES[topology].faults()) // 8 + 1
    argv = [sys.executable, "-m", "loadtests.faults", "--topology", topology]
    argv += ["--seeds", str(number), "--out", str(tmp_path)]
    result = subprocess.run(argv, capture_output=True, text=True, env=os.environ, timeout=3_000)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "<svg" in (tmp_path / "report.html").read_text()


@pytest.mark.skipif(not LONG, reason="minutes; with LONG=1")
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_is_found(mutation: Mutation):
    assert main([mutation.name]) == 0
