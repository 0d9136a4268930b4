"""The auto-scaling group: no machine knows its number."""

import time

from bench import check, say, until

# A grace and a silence that are short, for a short story; and a call that is long enough for both.
SETTINGS = "ZK_HOSTS_CLAIM_GRACE=10s\nZK_HOSTS_CLAIM_SILENCE=4s\nZK_HOSTS_REGISTER_TIMEOUT=10s"


def group(ensemble):
    """The auto-scaling group: machines without a number claim one. The first time cron tells the others, then direct passes."""
    arrival(ensemble, 1)
    spare = two_at_once(ensemble, 1)
    spare_takes_over(ensemble, 3, spare)


def nameless(ensemble):
    return ensemble.machine(settings=SETTINGS)


def myid(host):
    """The number of a server; empty where it has none, but the package's line of advice."""
    text = host.run("cat", "/var/lib/zookeeper/myid", check=False).stdout.strip()
    return text if text.isdigit() else ""


def arrival(ensemble, number):
    """One dies, and a nameless machine arrives."""
    before = ensemble.servers(number)
    ensemble.hosts[number].power_cut()
    ensemble.hosts[number].scrap()
    host = ensemble.hosts[number] = nameless(ensemble)
    begin = time.monotonic()
    host.boot()
    took = ensemble.whole(begin, f"a nameless machine took zoov{number}")
    check(myid(host) == str(number), f"it claimed {myid(host)}")
    right = ensemble.by_cron(begin, f"a nameless machine took zoov{number}")
    ensemble.untouched(before)
    ensemble.row(group, "a nameless machine, boot to an ensemble of three, with a silence of 4 s", took)
    ensemble.row(group, "a nameless machine, boot to all hosts files right, by cron", right)


def two_at_once(ensemble, number):
    """It dies in its turn, and two arrive: one has the place, the other says that there is none. The dead one comes back
    and is kept out. Gives the one that waits."""
    before = ensemble.servers(number)
    dead = ensemble.hosts.pop(number)
    dead.power_cut()
    two = [nameless(ensemble), nameless(ensemble)]
    begin = time.monotonic()
    for host in two:
        host.boot()
    first, _ = until("one of two has the place", 60, lambda: next((host for host in two if myid(host)), None))
    ensemble.hosts[number] = first
    spare = two[1] if first is two[0] else two[0]
    ensemble.registered(number)
    ensemble.pass_everywhere()
    ensemble.whole(begin, "two at once")
    dead.boot()
    kept_out(spare, "the one too many")
    check(myid(spare) == "", f"the one too many has claimed {myid(spare)}")
    kept_out(dead, "the one that came back")
    check(myid(dead) == str(number), "the one that came back has lost its myid")
    ensemble.untouched(before)
    check(not ensemble.wrong(), f"{ensemble.wrong()}")
    dead.power_cut()
    dead.scrap()
    return spare


def kept_out(host, who):
    until(f"{who} ends with 75", 60, lambda: host.says("ZooKeeper may not start: exit 75"))
    say(f"{who}: {host.says('zk-hosts: ')}")
    check(host.server()[0] == 0, f"{who} runs a ZooKeeper")


def spare_takes_over(ensemble, number, spare):
    """The one that waits takes the next place that is free, by itself."""
    before = ensemble.servers(number)
    begin = time.monotonic()
    ensemble.hosts[number].power_cut()
    ensemble.hosts[number].scrap()
    ensemble.hosts[number] = spare
    ensemble.registered(number)
    ensemble.pass_everywhere()
    took = ensemble.whole(begin, f"the spare took zoov{number}", since="the power cut")
    check(myid(spare) == str(number), f"the spare claimed {myid(spare)}")
    ensemble.untouched(before)
    ensemble.row(group, "power cut to an ensemble of three, with a spare that waited", took)
