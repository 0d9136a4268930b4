"""What is measured: calls of the release binary, most of them passes that change nothing, and what they cost."""

import os
import pathlib
import re
import statistics
import subprocess

ROOT = pathlib.Path(__file__).parents[2]
BINARY = ROOT / "target/release/zk-hosts"

HOSTS = """\
127.0.0.1\tlocalhost
127.0.1.1\tip-10-0-1-20.internal ip-10-0-1-20

# The following lines are desirable for IPv6 capable hosts
::1\tlocalhost ip6-localhost ip6-loopback
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters

# The ensemble
10.0.1.1\tzoov1
10.0.1.2\tzoov2
10.0.1.3\tzoov3

# Others
10.0.2.10\tdb1.internal db1
10.0.2.11\tdb2.internal db2
10.0.2.20\tqueue1.internal queue1
10.0.2.21\tqueue2.internal queue2\t# the old one
10.0.2.30\tcache.internal cache
169.254.169.254\tmetadata
"""


def registry(members=3, subnet=0):
    """The text of a registry with so many members, from 10.SUBNET.1.1 on."""
    text = ", ".join(f'"zoov{n}": "{address(n, subnet)}"' for n in range(1, members + 1))
    return f'{{"schema": 1, "generation": 7, "members": {{{text}}}}}\n'


def address(member, subnet=0):
    return f"10.{subnet}.{1 + member // 256}.{member % 256}"


def long_hosts(lines):
    """A hosts file of 32 bytes a line, the ensemble at its start, in its middle and at its end."""
    text = [f"10.{64 + n // 65536}.{n // 256 % 256}.{n % 256}\thost-{n:06}.".ljust(31, "x") for n in range(lines)]
    for member, line in enumerate([0, lines // 2, lines - 1], 1):
        text[line] = f"{address(member)}\tzoov{member}"
    return "\n".join(text) + "\n"


class Place:
    """A folder with a hosts file, and a registry beside it in step with it."""

    def __init__(self, folder, hosts=HOSTS, members=3):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts").write_text(hosts)
        (folder / "zk.json").write_text(registry(members))

    def over_network(self, endpoint, ca_file):
        """A pass over s3:// with static keys."""
        environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1"}
        environment |= {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "s3cr3tk3y0fth3t3st"}
        return Call([BINARY, "sync", "--registry", "s3://bucket/zk.json", "--hosts-file", self.folder / "hosts", "--ca-file", ca_file], environment)

    def over_file(self, *more, registry="zk.json"):
        """A pass over file://, for what the network has no part in."""
        url = f"file://{self.folder / registry}"
        return Call([BINARY, "sync", "--registry", url, "--hosts-file", self.folder / "hosts", *more])


class Call:
    """A command in an environment that holds nothing else of this machine's than PATH."""

    def __init__(self, command, environment=None):
        self.command = [str(word) for word in command]
        self.environment = {"PATH": os.environ["PATH"], **(environment or {})}

    def under(self, *tool, pattern):
        """Runs it under a tool, and gives the number that the tool prints to stderr."""
        done = subprocess.run([*tool, *self.command], env=self.environment, capture_output=True, text=True)
        found = re.search(pattern, done.stderr, re.MULTILINE)
        if done.returncode or not found:
            exit(f"{' '.join(self.command)}: exit {done.returncode}\n{done.stderr}")
        return int(found[1])

    def instructions(self):
        """Of the whole process, the dynamic linker included."""
        return self.under("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", pattern=r"Collected : (\d+)")

    def system_calls(self):
        return self.under("strace", "-f", "-c", "-o", "/dev/stderr", pattern=r"^100\.00 +\S+ +\d+ +(\d+).* total$")

    def memory(self):
        """At the peak, in bytes: with the program in the page cache and addresses that are the same at each run."""
        pathlib.Path(self.command[0]).read_bytes()
        runs = [self.under("setarch", "-R", "/usr/bin/time", "-f", "peak %M", pattern=r"peak (\d+)") for _ in range(5)]
        return 1024 * int(statistics.median(runs))
