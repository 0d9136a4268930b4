"""Processor time of commands that run in turns, so that what else the machine does meets all of them alike."""

import os
import random
import statistics


def medians(calls, rounds):
    """The median of each call's seconds on a processor, in user and kernel, its children's too."""
    seconds = {name: [] for name in calls}
    # Who runs after a large program finds the caches cold: each turn has an order of its own, the same in each run.
    order = random.Random(1)
    for turn in range(rounds + 1):
        for name, call in order.sample(list(calls.items()), len(calls)):
            spent = run(call, turn)
            if turn:  # the first one warms the caches
                seconds[name].append(spent)
    return {name: statistics.median(spent) for name, spent in seconds.items()}


def run(call, turn=0):
    """One run; a call that depends on its turn is a function of it."""
    call = call(turn) if callable(call) else call
    null = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    # vfork: a child of fork would be billed for copying the page tables of Python.
    pid = os.posix_spawnp(call.command[0], call.command, call.environment, file_actions=null)
    _, status, usage = os.wait4(pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        exit(f"{' '.join(call.command)}: exit {code}")
    return usage.ru_utime + usage.ru_stime
