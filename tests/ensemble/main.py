"""The first process of the story's namespaces. See tests/story."""

import os
import signal
import sys
import threading
import time
import traceback

import examples
from bench import Bench, Fault, check, say
from ensemble import Ensemble
from group import group
from outages import away, clocks, container
from scenes import birth, failover, lost, replacement, rolling

SCENES = [birth, replacement, failover, rolling, group, clocks, away, container, lost]


class Stopped(Exception):
    pass


def stop(*_):
    raise Stopped


def watch():
    """The pipe on standard input ends with whoever called us."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def main(folder, names):
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=watch, daemon=True).start()
    bench = ensemble = None
    try:
        chosen = choose(names)
        examples.check_all()
        bench = Bench(folder)
        ensemble = Ensemble(bench)
        for scene in chosen:
            say(f"--- {scene.__doc__.splitlines()[0]}")
            begin = time.monotonic()
            scene(ensemble)
            if scene not in (birth, lost):
                ensemble.row(scene, "the client's longest wait for a write", ensemble.application.longest_wait(begin))
        print(table(ensemble.rows))
        say("the story has come true")
        return 0
    except Stopped:
        print("tests/story: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        if isinstance(error, Fault):
            print(f"tests/story: {error}", file=sys.stderr)
        else:
            traceback.print_exc()
        if ensemble:
            tell(ensemble)
        return 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            if ensemble:
                ensemble.end()
        finally:
            if bench:
                bench.remove_cgroups()


def choose(names):
    """The scenes to play, in their order: all, or these, from the birth to the audit."""
    known = [scene.__name__ for scene in SCENES]
    unknown = [name for name in names if name not in known]
    check(not unknown, f"no scene is named {', '.join(unknown)}: there are {', '.join(known)}")
    return [scene for scene in SCENES if not names or scene.__name__ in names or scene in (birth, lost)]


def table(rows):
    lines = [f"| {scene.__name__} | {what} | {seconds:.1f} |" for scene, what, seconds in rows]
    return "\n".join(["", "| scene | measured | seconds |", "|---|---|---|", *lines, ""])


def tell(ensemble):
    """The last lines of every host that runs, but for ZooKeeper's chatter."""
    for host in ensemble.all:
        if host.init:
            log = host.run("journalctl", "--no-pager", "--output=short-precise", "--lines=1000", check=False).stdout
            lines = [line for line in log.splitlines() if " INFO " not in line and ":    " not in line]
            print(f"\n--- {host.name}, {host.address}", *lines[-25:], sep="\n", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
