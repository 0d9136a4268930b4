"""The first process of the story's namespaces. See tests/story."""

import os
import signal
import sys
import threading
import time
import traceback

import examples
import scenes
from bench import BEGIN, Bench, Fault, say
from ensemble import Ensemble


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
        examples.check_all()
        bench = Bench(folder)
        ensemble = Ensemble(bench)
        for scene in scenes.chosen(names):
            say(f"--- {scene.__doc__.splitlines()[0]}")
            begin = time.monotonic()
            scene(ensemble)
            silence = ensemble.application.longest_silence(begin)
            ensemble.row(scene.__name__, "longest time without an acknowledged write", silence)
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
        if ensemble:
            ensemble.end()
        if bench:
            bench.remove_cgroups()


def table(rows):
    lines = ["", "| scene | measured | seconds |", "|---|---|---|"]
    return "\n".join(lines + [f"| {scene} | {what} | {seconds:.1f} |" for scene, what, seconds in rows]) + "\n"


def tell(ensemble):
    """The last lines of every host that runs, but for what our own questions leave there."""
    for host in ensemble.all:
        if host.init:
            log = host.run("journalctl", "--no-pager", "--output=short-precise", "--lines=300", check=False).stdout
            lines = [line for line in log.splitlines() if "command from" not in line and ":    " not in line]
            print(f"\n--- {host.name}, {host.address}", *lines[-25:], sep="\n", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
