"""The examples, before anything is started with them."""

import pathlib
import shutil
import subprocess
import tempfile

import yaml
from bench import ROOT, check, run

LIMIT = 16384
PARTS = {
    "examples/zk-hosts-prestart": "END_OF_PRESTART",
    "examples/systemd/zookeeper.service": "END_OF_UNIT",
    "examples/systemd/zookeeper.service.d/zk-hosts.conf": "END_OF_DROP_IN",
    "cron/zk-hosts": "END_OF_CRON",
}


def prestart_gives_root_its_own_home():
    """systemd sets HOME to that of ZooKeeper's user even where root runs, and ZooKeeper can write there."""
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "zk-hosts"
        program.write_text('#!/bin/sh\necho "$HOME [$ZK_HOSTS_METRICS_FILE] $*"\n')
        program.chmod(0o755)
        environment = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": folder, "ZK_HOSTS_METRICS_FILE": "sync.prom"}
        environment |= {"ZK_HOSTS_MYID_FILE": f"{folder}/myid", "ZK_HOSTS_REGISTER_OPTIONS": "--claim --size 3"}
        done = subprocess.run([ROOT / "examples/zk-hosts-prestart"], env=environment, capture_output=True, text=True)
        expected = "/root [] register --timeout 10m --claim --size 3\n/root [sync.prom] sync --changed-exit-code 0 --splay 0\n"
        check((done.returncode, done.stdout) == (0, expected), f"examples/zk-hosts-prestart does {done}")


def check_all():
    script = (ROOT / "examples/user-data.sh").read_text()
    for path, mark in PARTS.items():
        embedded = script.split(f"<<'{mark}'\n")[1].split(f"{mark}\n")[0]
        check(embedded == (ROOT / path).read_text(), f"examples/user-data.sh has another text than {path}")

    text = (ROOT / "examples/cloud-init.yaml").read_text()
    check(text.startswith("#cloud-config\n"), "examples/cloud-init.yaml does not begin as cloud-init wants it")
    config = yaml.safe_load(text)
    (file,) = config["write_files"]
    check(file["content"] == script, "examples/cloud-init.yaml has another text than examples/user-data.sh")
    check(config["manage_etc_hosts"] is False, "examples/cloud-init.yaml lets cloud-init write the hosts file")
    (command,) = config["runcmd"]
    check(command[0] == "env" and command[-1] == file["path"], "examples/cloud-init.yaml runs another file than it writes")
    for name in (setting.split("=")[0] for setting in command[1:-1]):
        check(f"\n{name}=${{{name}-" in script, f"examples/user-data.sh has no setting {name}")

    prestart_gives_root_its_own_home()
    for path in ("user-data.sh", "cloud-init.yaml"):
        size = (ROOT / "examples" / path).stat().st_size
        check(size <= LIMIT, f"examples/{path} has {size} bytes: EC2 takes {LIMIT}")
    if shutil.which("shellcheck"):
        scripts = ("examples/user-data.sh", "examples/zk-hosts-prestart", "tests/ensemble/host-init")
        run("shellcheck", *(ROOT / path for path in scripts))
