"""The application: a host with nothing but our cron file and a client that writes all the time. And the audit at the end."""

import subprocess
import threading
import time

from bench import ROOT, check, say, until
from host import Host
from kazoo.client import KazooClient

PYTHON = ROOT / "target/tools/python/bin/python3"


class Application:
    def __init__(self, bench, cron_file, settings, program):
        self.host = Host(bench, 200, "application")
        self.host.write("/etc/cron.d/zk-hosts", cron_file)
        self.host.write("/etc/default/zk-hosts", settings)
        place = self.host.folder / "upper/usr/local/bin"
        place.mkdir(parents=True)
        (place / "zk-hosts").write_bytes(program.read_bytes())
        (place / "zk-hosts").chmod(0o755)
        # When each write was acknowledged, and which it was; and when it was told to go on after a pause.
        self.acknowledged, self.resumed, self.paused = [], [], threading.Event()
        self.process = None

    def start(self, size):
        servers = ",".join(f"zoov{number}:2181" for number in range(1, size + 1))
        words = self.host.command(PYTHON, "-B", ROOT / "tests/ensemble/writer.py", servers)
        self.process = subprocess.Popen(
            [str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        threading.Thread(target=self.listen, daemon=True).start()
        until("the client's first write", 60, lambda: self.acknowledged)

    def listen(self):
        for line in self.process.stdout:
            if line.strip() == "paused":
                self.paused.set()
            else:
                self.acknowledged.append((time.monotonic(), int(line)))

    def pause(self):
        """Returns when no write is under way."""
        self.paused.clear()
        self.process.stdin.write("pause\n")
        until("the client pauses", 60, self.paused.is_set, pause=0.02)

    def go(self):
        self.resumed.append(time.monotonic())
        self.process.stdin.write("go\n")

    def writes(self, since):
        """Waits for a write that is acknowledged after `since`; gives when that was."""

        def written():
            return next((at for at, _ in self.acknowledged[-5:] if at > since), None)

        return until("a write is acknowledged", 60, written, pause=0.02)[0]

    def longest_wait(self, begin):
        """The longest time without an acknowledged write since `begin`, but for the pauses that it was told to make."""
        events = [(begin, True), *((at, True) for at, _ in list(self.acknowledged)), *((at, False) for at in self.resumed)]
        events = sorted(event for event in events if event[0] >= begin)
        return max((after - before for (before, _), (after, waits) in zip(events, events[1:]) if waits), default=0)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def audit(self, addresses):
        """Reads back every write that was acknowledged, from each server in turn."""
        self.end()
        numbers = [number for _, number in self.acknowledged]
        for address in addresses:
            reader = KazooClient(f"{address}:2181")
            reader.start(timeout=30)
            try:
                reader.sync("/story")
                answers = [(number, reader.get_async(f"/story/{number:07}")) for number in numbers]
                lost = [number for number, answer in answers if not holds(answer, number)]
            finally:
                reader.stop()
                reader.close()
            check(not lost, f"{address} has lost {len(lost)} of {len(numbers)} acknowledged writes: {lost[:10]}")
        say(f"all {len(numbers)} acknowledged writes are read back, from each server")
        return len(numbers)


def holds(answer, number):
    try:
        return answer.get(timeout=30)[0] == b"%d" % number
    except Exception:
        return False
