"""The scenes about what may be wrong around a host: its clock, the store, and a hosts file that cannot be renamed over."""

import concurrent.futures
import glob
import time

from bench import check, say, until
from services import BUCKET

# How long a pass waits for the store that is away; the shipped 20 s would only make the story longer.
TIMEOUT = "ZK_HOSTS_TIMEOUT=2s"


def clocks(ensemble):
    """Clocks that are 1 and 20 minutes off, both ways: passes, called directly, and registrations work as ever."""
    (library,) = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    host = ensemble.hosts[1]
    for number, off in enumerate(("+1m", "-1m", "+20m", "-20m"), 1):
        clock = [f"LD_PRELOAD={library}", f"FAKETIME={off}", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
        host.run("sh", "-c", "grep -v zoov2 /etc/hosts > /tmp/hosts")
        passed = host.zk_hosts("sync", "-v", "--hosts-file", "/tmp/hosts", env=clock)
        said = next((line for line in passed.stderr.splitlines() if "clock" in line), "")
        check(passed.returncode == 2 and said, f"{off}: exit {passed.returncode}, {passed.stderr}")
        say(f"{off}: {said}")
        registry = f"s3://{BUCKET}/clocks.json"
        done = host.zk_hosts("register", "--id", number, "--registry", registry, env=clock)
        check(done.returncode == 0 and done.stdout, f"{off}: exit {done.returncode}, {done.stderr}")


def away(ensemble):
    """The store is away: five passes in a row, called directly, change nothing; the ensemble serves; a server may restart."""
    follower = next(number for number in ensemble.hosts if number != ensemble.leader())
    survivors = ensemble.servers(follower)
    # How long it waits for the store is to be what we ship.
    ensemble.hosts[follower].run("sed", "-i", "/^ZK_HOSTS_TIMEOUT=/d", "/etc/default/zk-hosts")
    ensemble.store.away()
    broken = ensemble.application.host
    broken.run("sed", "-i", f"s/.*zoov{follower}.*/10.77.0.99 zoov{follower}/", "/etc/hosts")
    files = {host.name: host.hosts_file() for host in ensemble.readers()}

    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        restart = pool.submit(restarted, ensemble, follower)
        codes = list(pool.map(lambda host: [fails(host) for _ in range(5)], ensemble.readers()))
        check(all(code == 69 for row in codes for code in row), f"not 69: {codes}")
        ensemble.application.writes(time.monotonic())
        took = restart.result()
    say(f"zoov{follower} was restarted and serves after {took:.1f} s, the store away; five passes a host ended with 69")
    check({host.name: host.hosts_file() for host in ensemble.readers()} == files, "a hosts file was changed")
    ensemble.untouched(survivors)
    ensemble.row(away, "restart of a ZooKeeper, until it serves", took)
    ensemble.row(away, "how long it was away", time.monotonic() - begin)

    ensemble.store.back()
    check(ensemble.wrong(), "the broken hosts file is right")
    ensemble.pass_everywhere()
    check(not ensemble.wrong(), f"{ensemble.wrong()}")


def fails(host):
    return host.zk_hosts("sync", env=[TIMEOUT]).returncode


def restarted(ensemble, number):
    """Restarts a server as an operator would. Gives how long it took."""
    begin, host = time.monotonic(), ensemble.hosts[number]
    host.run("systemctl", "restart", "zookeeper")
    check(host.says("ZooKeeper may start"), f"zoov{number} did not say that the registry is away")
    until(f"zoov{number} serves", 60, lambda: ensemble.state(number))
    return time.monotonic() - begin


def container(ensemble):
    """A container's hosts file, mounted as a single file: a follower is replaced. Passes are called directly."""
    number = next(number for number in ensemble.hosts if number != ensemble.leader())
    for host in ensemble.readers():
        if host is not ensemble.hosts[number]:
            host.run("sh", "-c", "cp /etc/hosts /run/hosts && mount --bind /run/hosts /etc/hosts")
    others = [host for host in ensemble.readers() if host is not ensemble.hosts[number]]
    inodes = [inode(host) for host in others]
    before = ensemble.servers(number)
    host, begin = ensemble.replace(number, as_container=True)
    right = ensemble.by_passes(begin, number, f"zoov{number} replaced")
    took = ensemble.whole(begin, f"zoov{number} replaced")
    ensemble.untouched(before)
    check([inode(host) for host in others] == inodes, "a mounted hosts file is another file now")
    check("/etc/hosts" in host.run("cat", "/proc/self/mountinfo"), "the replacement's hosts file is not mounted")
    ensemble.row(container, "boot to all hosts files right, by passes called directly", right)
    ensemble.row(container, "boot to an ensemble of three", took)


def inode(host):
    return host.run("stat", "--format=%d:%i", "/etc/hosts")
