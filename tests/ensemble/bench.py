"""What the hosts stand on: a switch, their image, cgroups, and how to wait."""

import os
import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BEGIN = time.monotonic()

SWITCH = "10.77.0.1"
STORE = "10.77.0.2"
METADATA = "169.254.169.254"


class Fault(Exception):
    """Something is not as it was promised."""


def say(text):
    print(f"{time.monotonic() - BEGIN:6.1f}  {text}", flush=True)


def run(*words, check=True, **more):
    """Runs a program; gives what it printed, and with check=False the whole result."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)
    if not check:
        return done
    if done.returncode != 0:
        raise Fault(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def until(what, bound, condition, pause=0.1):
    """Waits for a condition, for `bound` seconds at most. Gives what it gave and how long that took."""
    begin = time.monotonic()
    while True:
        found, took = condition(), time.monotonic() - begin
        if found:
            return found, took
        if took > bound:
            raise Fault(f"not within {bound} s: {what}")
        time.sleep(pause)


def check(holds, otherwise):
    if not holds:
        raise Fault(otherwise)


class Bench:
    """Everything in the namespaces of this process, with whose end all of it goes, but for the cgroups."""

    def __init__(self, folder):
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
        self.folder = Path(folder)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
        self.make_switch()
        self.make_image()
        self.cgroups = self.folder / "cgroups"
        self.cgroups.mkdir()
        run("mount", "-t", "cgroup2", "cgroup2", self.cgroups)
        self.cgroups /= f"{Path(folder).name}"
        self.cgroups.mkdir()

    def make_switch(self):
        ip("link", "set", "lo", "up")
        # An address of its own: else it is that of one of its links, and changes as they come and go.
        ip("link", "add", "switch", "address", "02:00:00:00:00:01", "type", "bridge")
        ip("address", "add", f"{SWITCH}/24", "dev", "switch")
        ip("address", "add", f"{METADATA}/32", "dev", "switch")
        ip("link", "set", "switch", "up")

    def make_image(self):
        """The machine's own /etc, as that of a fresh image: none of its services, and names from the hosts file only."""
        self.image = self.folder / "image"
        run("cp", "-a", "/etc", self.image)
        for pattern in ("systemd/system/*", "cron.*/*", "init.d/*", "rc?.d/*", "fstab", "cloud"):
            for path in self.image.glob(pattern):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (self.image / "environment").write_text("")
        system = self.image / "systemd/system"
        # What is about hardware and log-ins has no place in a sealed host.
        for unit in ("systemd-udevd", "systemd-logind", "systemd-modules-load", "systemd-sysctl", "systemd-pstore"):
            (system / f"{unit}.service").symlink_to("/dev/null")
        for unit in ("getty.target", "dev-hugepages.mount", "proc-sys-fs-binfmt_misc.automount"):
            (system / unit).symlink_to("/dev/null")
        (system / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
        (system / "multi-user.target.wants").mkdir()
        (system / "multi-user.target.wants/cron.service").symlink_to("/lib/systemd/system/cron.service")
        names = self.image / "nsswitch.conf"
        lines = (line for line in names.read_text().splitlines(True) if not line.startswith("hosts:"))
        names.write_text("".join(lines) + "hosts: files\n")

    def plug_in(self, host):
        """A link from the host to the switch. There is no way further than that."""
        ip("netns", "add", host.name)
        ip("link", "add", host.name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        ip("link", "set", host.name, "master", "switch", "up")
        ip("-n", host.name, "link", "set", "lo", "up")
        ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
        ip("-n", host.name, "link", "set", "eth0", "up")
        ip("-n", host.name, "route", "add", METADATA, "dev", "eth0")

    def unplug(self, host):
        ip("link", "set", host.name, "down")
        ip("link", "delete", host.name)
        ip("netns", "delete", host.name)

    def cgroup(self, name):
        """What a new process calls to be in a cgroup of its own."""
        folder = self.cgroups / name
        folder.mkdir(exist_ok=True)

        def enter():
            (folder / "cgroup.procs").write_text(str(os.getpid()))

        return enter

    def remove_cgroups(self):
        """They alone outlive the namespaces."""

        def removed():
            for path, _, _ in os.walk(self.cgroups, topdown=False):
                try:
                    os.rmdir(path)
                except OSError:
                    return False
            return True

        until("the cgroups are empty", 10, removed)


def ip(*words):
    run("ip", *words)
