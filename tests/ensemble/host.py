"""A sealed host: its own files, processes and address, with systemd as its first process and user-data as its boot."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from bench import ROOT, run, until

INIT = ROOT / "tests/ensemble/host-init"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What cloud-init does with user-data: it runs at the first boot only, with next to no environment.
USER_DATA = """
[Unit]
Description=User-data
ConditionPathExists=!/var/lib/user-data-ran

[Service]
Type=oneshot
{environment}
ExecStart=/var/lib/user-data
ExecStartPost=/usr/bin/touch /var/lib/user-data-ran
"""


class Host:
    """A machine. Its disk outlives a power cut; its address is its own for good."""

    def __init__(self, bench, number, name=None):
        self.bench, self.name = bench, name or f"host{number}"
        self.address, self.instance = f"10.77.0.{10 + number}", f"i-{number:017x}"
        self.folder = bench.folder / self.name
        self.unshare = self.init = None
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True)
        run("cp", "-a", bench.image, self.folder / "etc")
        self.write("/etc/machine-id", f"{number:032x}\n")
        self.write("/etc/hostname", f"{self.name}\n")
        self.write("/etc/hosts", f"127.0.0.1\tlocalhost\n127.0.1.1\t{self.name}\n")

    def write(self, path, text, mode=0o644):
        """Puts a file onto the disk of a host that does not run yet."""
        top, _, rest = path.strip("/").partition("/")
        place = self.folder / "etc" / rest if top == "etc" else self.folder / "upper" / path.strip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def user_data(self, script, environment):
        """Gives the machine its user-data, as a launch template would."""
        lines = (f'Environment="{name}={value}"'.replace("\n", "\\n") for name, value in environment.items())
        self.write("/etc/systemd/system/user-data.service", USER_DATA.format(environment="\n".join(lines)))
        wants = self.folder / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        (wants / "user-data.service").symlink_to("/etc/systemd/system/user-data.service")
        self.write("/var/lib/user-data", script, 0o755)

    def boot(self, as_container=False):
        """Switches it on."""
        self.bench.plug_in(self)
        bound = []
        if as_container:
            shutil.copy(self.folder / "etc/hosts", self.folder / "hosts")
            bound = [self.folder / "hosts"]
        words = ["nsenter", f"--net=/run/netns/{self.name}", "unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup"]
        words += ["--fork", "--kill-child", "sh", INIT, self.folder, self.name, ROOT, *bound]
        log = (self.folder / "init.log").open("w")
        self.unshare = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self.bench.cgroup(self.name)
        )
        self.init, _ = until(f"{self.name} is switched on", 20, self.first_process)

    def first_process(self):
        assert self.unshare.poll() is None, (self.folder / "init.log").read_text()
        children = Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children").read_text().split()
        # systemd runs from the moment that it has made its socket.
        if children and Path(f"/proc/{children[0]}/root/run/systemd/private").exists():
            return int(children[0])
        return None

    def power_cut(self):
        """The machine vanishes: its link first, so that nothing tells the others."""
        if self.unshare is None:
            return
        self.bench.unplug(self)
        if self.init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGKILL)
        self.unshare.kill()
        self.unshare.wait()
        self.init = self.unshare = None

    def scrap(self):
        """Its disk goes too."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *words):
        return ["nsenter", f"--target={self.init}", "--all", "--", "env", "-i", f"PATH={PATH}", *words]

    def run(self, *words, check=True, **more):
        """Runs a program in the host; gives what it printed, and with check=False the whole result."""
        return run(*self.command(*words), check=check, **more)

    def zk_hosts(self, *words, env=()):
        """Runs zk-hosts with the host's settings, as root would by hand. Gives the completed process."""
        script = 'set -a; . /etc/default/zk-hosts; set +a; exec env "$@"'
        return self.run("sh", "-c", script, "sh", *env, "zk-hosts", *words, check=False)

    def address_of(self, name):
        """All addresses that the C library finds for a name in the hosts file."""
        found = self.run("getent", "-s", "files", "ahosts", name, check=False).stdout
        return sorted({line.split()[0] for line in found.splitlines()})

    def hosts_file(self):
        return Path(f"/proc/{self.init}/root/etc/hosts").read_bytes()

    def server(self):
        """The main process of ZooKeeper's unit, 0 where there is none, and how often systemd has restarted it."""
        shown = self.run("systemctl", "show", "--property=MainPID,NRestarts", "zookeeper")
        values = dict(line.split("=") for line in shown.splitlines())
        return int(values["MainPID"]), int(values["NRestarts"])

    def says(self, text):
        """The last line of the journal, of those of ZooKeeper's unit, that has this text; None where none has."""
        lines = self.run("journalctl", "--no-pager", "--output=cat", "--unit=zookeeper").splitlines()
        return next((line for line in reversed(lines) if text in line), None)
