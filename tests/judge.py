"""The C library's part of tests/judge.rs: judge.py ZK_HOSTS EMPTY_FOLDER, in a mount namespace of its own.

Gives itself a private /etc, then answers line for line, JSON both ways: the hosts file, the registry, the arguments and the
names to look up come in; what each name resolved to before and after the pass, and what the pass did, go out. Bytes travel
as strings of U+0000 to U+00FF.
"""

import json
import socket
import subprocess
import sys

FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNSPEC)
NOT_FOUND = (socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY)


def private_etc(folder):
    for command in (
        ["mount", "-t", "tmpfs", "tmpfs", folder],
        ["cp", "-a", "/etc/.", folder],
        ["mount", "--bind", folder, "/etc"],
    ):
        subprocess.run(command, check=True)
    write("/etc/nsswitch.conf", b"hosts: files\n")
    # Without it a look-up stops at the first line that has the name.
    write("/etc/host.conf", b"multi on\n")


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def is_address(name):
    """Whether getaddrinfo may take the name for an address, a broken one included, and not look it up."""
    if b":" in name or not name.strip(b"0123456789."):
        return True
    try:
        socket.getaddrinfo(name, None, flags=socket.AI_NUMERICHOST)
        return True
    except socket.gaierror:
        return False


def look_up(name, family):
    try:
        return [found[4][0] for found in socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)]
    except socket.gaierror as error:
        if error.errno in NOT_FOUND:
            return []
        raise


def look_up_all(names):
    return [None if is_address(name) else [look_up(name, family) for family in FAMILIES] for name in names]


def trial(question):
    names = [name.encode("latin-1") for name in question["names"]]
    write("/etc/hosts", question["text"].encode("latin-1"))
    write("/etc/registry.json", question["registry"].encode())
    before = look_up_all(names)
    command = [sys.argv[1], "sync", "--registry", "file:///etc/registry.json", *question["args"]]
    done = subprocess.run(command, env={}, capture_output=True)
    return {
        "before": before,
        "after": look_up_all(names),
        "text": read("/etc/hosts").decode("latin-1"),
        "code": done.returncode,
        "stdout": done.stdout.decode("latin-1"),
        "stderr": done.stderr.decode("latin-1"),
    }


private_etc(sys.argv[2])
for line in sys.stdin:
    print(json.dumps(trial(json.loads(line))), flush=True)
