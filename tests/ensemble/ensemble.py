"""The ensemble: which host has which number, what its servers say, and the waits that the scenes are made of."""

import concurrent.futures
import itertools
import socket
import time

from bench import METADATA, ROOT, check, say, until
from client import Application
from host import Host
from services import ENDPOINT, REGISTRY, Download, Metadata, Store

SIZE = 3

# Within how many seconds cron mends a hosts file: its minute, the splay, and the pass.
CRON = 60 + 25 + 20

SCRIPT = (ROOT / "examples/user-data.sh").read_text()
SETTINGS = f"AWS_ENDPOINT_URL_S3={ENDPOINT}\nAWS_EC2_METADATA_SERVICE_ENDPOINT=http://{METADATA}"


class Ensemble:
    def __init__(self, bench):
        self.bench, self.numbers, self.hosts, self.all = bench, itertools.count(1), {}, []
        self.metadata, self.download, self.store = Metadata(), Download(bench.folder), Store(bench)
        settings = f"ZK_HOSTS_REGISTRY={REGISTRY}\n{SETTINGS}\n"
        cron_file = settings + cron_job()
        self.application = Application(bench, cron_file, settings, self.download.path)
        self.adopt(self.application.host)
        self.rows = []

    def adopt(self, host):
        self.all.append(host)
        self.metadata.hosts[host.address] = host

    # Machines.

    def machine(self, number="", settings=""):
        """A new machine with its user-data, switched off. Without a number it has to claim one."""
        host = Host(self.bench, next(self.numbers))
        self.adopt(host)
        environment = {
            "ZK_HOSTS_REGISTRY": REGISTRY,
            "ZK_HOSTS_SIZE": SIZE,
            "ZK_HOSTS_ID": number,
            "ZK_HOSTS_URL": self.download.url,
            "ZK_HOSTS_SHA256": self.download.checksum,
            "ZK_HOSTS_SETTINGS": f"{SETTINGS}\n{settings}".strip(),
            "JAVA_OPTS": "-Xmx96m -XX:TieredStopAtLevel=1",
        }
        host.user_data(SCRIPT, environment)
        return host

    def replace(self, number, **how):
        """The server's machine vanishes and another boots in its place. Gives the new one, and when it was switched on."""
        self.hosts[number].power_cut()
        self.hosts[number].scrap()
        host = self.hosts[number] = self.machine(number)
        begin = time.monotonic()
        host.boot(**how)
        return host, begin

    # Servers.

    def ask(self, host, word):
        """What a server answers; empty where there is none."""
        try:
            with socket.create_connection((host.address, 2181), timeout=1) as connection:
                connection.sendall(word.encode())
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        except OSError:
            return ""

    def facts(self, host):
        """What a server tells about itself; empty where it does not serve."""
        return dict(line.split("\t", 1) for line in self.ask(host, "mntr").splitlines() if "\t" in line)

    def state(self, number):
        return self.facts(self.hosts[number]).get("zk_server_state")

    def leader(self):
        """The number of the leader; None while there is none."""
        return next((number for number in self.hosts if self.state(number) == "leader"), None)

    def is_whole(self, followers=SIZE - 1):
        """Whether a leader has that many synced followers."""
        number = self.leader()
        return number and self.facts(self.hosts[number]).get("zk_synced_followers", "0").split(".")[0] == str(followers)

    def whole(self, begin, what, since="the boot"):
        """Waits for all servers to serve. Gives the seconds since `begin`."""
        until(f"{what}: a leader with {SIZE - 1} synced followers", 90, self.is_whole)
        for number in self.hosts:
            until(f"zoov{number} serves", 30, lambda number=number: self.state(number))
        took = time.monotonic() - begin
        say(f"{what}: an ensemble of {SIZE} {took:.1f} s after {since}, zoov{self.leader()} leads")
        return took

    def servers(self, *but):
        """The server process of each host, and how often systemd restarted it."""
        return {number: host.server() for number, host in self.hosts.items() if number not in but}

    def untouched(self, before):
        """Makes sure that survivors are the processes that they were."""
        for number, server in before.items():
            now = self.hosts[number].server()
            check(now == server, f"zoov{number} was restarted: {server} became {now}")

    def quiet(self):
        """Stops the client's writes and waits until all servers have the same history: then the highest number is elected."""
        self.application.pause()
        until("all servers have the same history", 30, lambda: len({self.history(host) for host in self.hosts.values()}) == 1)

    def history(self, host):
        return next((line for line in self.ask(host, "srvr").splitlines() if line.startswith("Zxid")), "")

    # Hosts files.

    def readers(self):
        return [*self.hosts.values(), self.application.host]

    def wrong(self):
        """What hosts files say that is not so, by the C library's own look-up."""
        found = []
        for host in self.readers():
            for number, server in self.hosts.items():
                addresses = host.address_of(f"zoov{number}")
                if addresses != [server.address]:
                    found.append(f"{host.name}: zoov{number} is {addresses}, not {server.address}")
        return found

    def by_cron(self, begin, what):
        """Waits until cron has mended all hosts files. Gives the seconds since `begin`."""
        until(f"{what}: {len(self.readers())} hosts files are right", CRON, lambda: not self.wrong(), pause=0.5)
        took = time.monotonic() - begin
        say(f"{what}: all hosts files right {took:.1f} s after the boot, by cron")
        return took

    def pass_everywhere(self):
        """A pass on each host, at the same time, as cron runs it but for the splay."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for host, done in zip(self.readers(), pool.map(lambda host: host.zk_hosts("sync"), self.readers())):
                check(done.returncode in (0, 2), f"{host.name}: exit {done.returncode}: {done.stderr}")

    def registered(self, number):
        """Waits until the registry has the host: a pass would tell the application, or has."""
        name, address, reader = f"zoov{number}", self.hosts[number].address, self.application.host

        def known():
            diff = [line.split() for line in reader.zk_hosts("sync", "--dry-run").stdout.splitlines()]
            is_new = any(words[:1] == [f"+{address}"] and name in words for words in diff)
            return is_new or reader.address_of(name) == [address]

        until(f"{name} is registered at {address}", 60, known)

    def by_passes(self, begin, number, what):
        """Once the host is registered, runs a pass on all hosts. Gives the seconds since `begin`."""
        self.registered(number)
        self.pass_everywhere()
        wrong = self.wrong()
        check(not wrong, f"{what}: {wrong}")
        took = time.monotonic() - begin
        say(f"{what}: all hosts files right {took:.1f} s after the boot, by passes called directly")
        return took

    def row(self, scene, what, seconds):
        self.rows.append((scene, what, seconds))

    def end(self):
        self.application.end()
        for host in self.all:
            host.power_cut()
        self.store.end()


def cron_job():
    """Our cron file without its settings."""
    text = (ROOT / "cron/zk-hosts").read_text()
    return text.replace('ZK_HOSTS_REGISTRY=""\n', "")
