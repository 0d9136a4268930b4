"""The scenes, in their order."""

import time

from bench import check, run, say, until
from ensemble import SIZE, cron_job


def birth(ensemble):
    """Birth: an empty bucket, three machines with user-data, and no file prepared by hand."""
    began = time.monotonic()
    ensemble.application.host.boot()
    # The first two race to create the registry. The third boots when they serve, so that it does not lead: the scenes to
    # come need to know who does.
    for number in (1, 2):
        ensemble.hosts[number] = ensemble.machine(number)
        ensemble.hosts[number].boot()
    for number in (1, 2):
        ensemble.registered(number)
    ensemble.pass_everywhere()
    until("zoov2 leads", 60, lambda: ensemble.leader() == 2)
    ensemble.hosts[3] = ensemble.machine(3)
    ensemble.hosts[3].boot()
    ensemble.registered(3)
    ensemble.pass_everywhere()
    took = ensemble.whole(began, "birth")
    ensemble.row("birth", "from the first boot to an ensemble of three, its hosts files right", took)
    check(not ensemble.wrong(), f"{ensemble.wrong()}")

    for host in ensemble.hosts.values():
        cron_file = host.run("cat", "/etc/cron.d/zk-hosts")
        check(cron_file.endswith(cron_job()), f"{host.name} has another cron file than ours:\n{cron_file}")
        host.run("systemd-analyze", "verify", "zookeeper.service", "cron.service")
        check(host.run("systemctl", "--failed", "--quiet") == "", f"{host.name}: {host.run('systemctl', '--failed')}")
    # The store does look at what it is given.
    wrong = ensemble.application.host.zk_hosts("sync", env=["AWS_ACCESS_KEY_ID=AKIDROLE", "AWS_SECRET_ACCESS_KEY=wrong"])
    check(wrong.returncode == 77, f"the store took a wrong key: exit {wrong.returncode} {wrong.stderr}")
    # What user-data did it may do again, and nobody is restarted.
    before = ensemble.servers()
    for host in ensemble.hosts.values():
        host.run("rm", "/var/lib/user-data-ran")
        host.run("systemctl", "start", "user-data")
    ensemble.untouched(before)
    ensemble.application.start(SIZE)


def replacement(ensemble):
    """A follower is replaced, and cron alone tells the others."""
    replaced_by_cron(ensemble, 3, "follower")


def failover(ensemble):
    """The leader dies: the survivor, never restarted, follows the replacement. Then the leader is replaced, by cron again."""
    leader = ensemble.leader()
    check(leader in (1, 2), f"zoov{leader} leads")
    survivor = 3 - leader
    before = ensemble.servers(leader)
    ensemble.quiet()
    host = ensemble.hosts.pop(leader)
    begin = time.monotonic()
    host.power_cut()
    ensemble.application.go()
    until(f"zoov3 leads and zoov{survivor} follows", 60, lambda: (ensemble.state(3), ensemble.state(survivor)) == ("leader", "follower"), 0.05)
    took = time.monotonic() - begin
    wrote = ensemble.application.writes(begin) - begin
    ensemble.untouched(before)
    say(f"failover: zoov{survivor} follows the replacement {took:.1f} s after the power cut; the client writes after {wrote:.1f} s")
    ensemble.row("failover", "from the leader's power cut to the survivor following the replacement", took)
    ensemble.row("failover", "until the client writes again", wrote)
    ensemble.hosts[leader] = host
    replaced_by_cron(ensemble, leader, "leader")


def replaced_by_cron(ensemble, number, what):
    before = ensemble.servers(number)
    _, begin = ensemble.replace(number)
    took = ensemble.whole(begin, what)
    right = ensemble.by_cron(begin, what)
    ensemble.untouched(before)
    ensemble.row(f"replacement ({what})", "from the replacement's boot to an ensemble of three", took)
    ensemble.row(f"replacement ({what})", "until all hosts files are right, by cron", right)


def rolling(ensemble):
    """All three are replaced, one after the other; passes are called directly."""
    began = time.monotonic()
    for number in list(ensemble.hosts):
        before = ensemble.servers(number)
        _, begin = ensemble.replace(number)
        ensemble.by_passes(begin, number, f"rolling, zoov{number}")
        ensemble.whole(begin, f"rolling, zoov{number}")
        ensemble.untouched(before)
    ensemble.row("rolling", "all three replaced, one after the other", time.monotonic() - began)


def lost(ensemble):
    """Nothing lost: every write that was acknowledged is read back."""
    count = ensemble.application.audit([host.address for host in ensemble.hosts.values()])
    check(count > 100, f"the client has written only {count} znodes")


ALL = [birth, replacement, failover, rolling, lost]


def chosen(names):
    known = [scene.__name__ for scene in ALL]
    unknown = [name for name in names if name not in known]
    check(not unknown, f"no scene is named {', '.join(unknown)}: there are {', '.join(known)}")
    return [scene for scene in ALL if not names or scene.__name__ in names or scene in (birth, lost)]
