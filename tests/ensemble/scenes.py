"""The scenes about machines that know their number: birth, replacement, failover, one after the other; and the audit."""

import time

from bench import check, say, until
from ensemble import SIZE, cron_job


def birth(ensemble):
    """Birth: an empty bucket, three machines with user-data, and no file prepared by hand. Passes are called directly."""
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
    ensemble.row(birth, "first boot to an ensemble of three", took)
    check(not ensemble.wrong(), f"{ensemble.wrong()}")
    ensemble.application.start(SIZE)

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


def replacement(ensemble):
    """A follower's machine is replaced, and cron alone tells the others."""
    replaced_by_cron(replacement, ensemble, 3, "follower")


def failover(ensemble):
    """The leader dies: the survivor, never restarted, follows the replacement. Then the leader is replaced, by cron again."""
    leader = ensemble.leader()
    check(leader in (1, 2), f"zoov{leader} leads")
    survivor = 3 - leader
    before = ensemble.servers(leader)
    ensemble.quiet()
    begin = time.monotonic()
    host = ensemble.hosts.pop(leader)
    host.power_cut()
    ensemble.application.go()

    def follows():
        return (ensemble.state(3), ensemble.state(survivor)) == ("leader", "follower")

    until(f"zoov3 leads and zoov{survivor} follows", 60, follows, pause=0.05)
    took = time.monotonic() - begin
    wrote = ensemble.application.writes(begin) - begin
    ensemble.untouched(before)
    say(f"zoov{survivor} follows the replacement {took:.1f} s after the power cut; the client writes after {wrote:.1f} s")
    ensemble.row(failover, "power cut of the leader to the survivor following the replacement", took)
    ensemble.row(failover, "power cut of the leader to the client's next write", wrote)
    ensemble.hosts[leader] = host
    replaced_by_cron(failover, ensemble, leader, "leader")

    # A process that ends is noticed at once; a machine that vanishes, after syncLimit.
    leader = ensemble.leader()
    before = ensemble.servers(leader)
    begin = time.monotonic()
    ensemble.hosts[leader].run("systemctl", "kill", "--signal=KILL", "zookeeper")
    until("another leads", 60, lambda: ensemble.leader() not in (None, leader), pause=0.05)
    took = time.monotonic() - begin
    back = ensemble.whole(begin, f"zoov{leader} killed", since="that")
    ensemble.untouched(before)
    check(ensemble.hosts[leader].server()[1] == 1, f"systemd did not restart zoov{leader}")
    ensemble.row(failover, "the leader's process killed to another leader", took)
    ensemble.row(failover, "the leader's process killed to its being back in step, by systemd", back)


def replaced_by_cron(scene, ensemble, number, what):
    before = ensemble.servers(number)
    _, begin = ensemble.replace(number)
    took = ensemble.whole(begin, f"{what} replaced")
    right = ensemble.by_cron(begin, f"{what} replaced")
    ensemble.untouched(before)
    ensemble.row(scene, f"the {what}'s replacement, boot to an ensemble of three", took)
    ensemble.row(scene, f"the {what}'s replacement, boot to all hosts files right, by cron", right)


def rolling(ensemble):
    """All three machines are replaced, one after the other. Passes are called directly."""
    began = time.monotonic()
    for number in list(ensemble.hosts):
        before = ensemble.servers(number)
        _, begin = ensemble.replace(number)
        ensemble.by_passes(begin, number, f"zoov{number} replaced")
        ensemble.whole(begin, f"zoov{number} replaced")
        ensemble.untouched(before)
    ensemble.row(rolling, "all three replaced, one after the other", time.monotonic() - began)


def lost(ensemble):
    """Nothing lost: every write that was acknowledged is read back."""
    count = ensemble.application.audit([host.address for host in ensemble.hosts.values()])
    check(count > 20, f"the client has written only {count} znodes")
