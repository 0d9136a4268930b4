"""The examples, before anything is started with them."""

import shutil

import yaml
from bench import ROOT, check, run

LIMIT = 16384
PARTS = {
    "examples/zk-hosts-prestart": "END_OF_PRESTART",
    "examples/systemd/zookeeper.service": "END_OF_UNIT",
    "examples/systemd/zookeeper.service.d/zk-hosts.conf": "END_OF_DROP_IN",
    "cron/zk-hosts": "END_OF_CRON",
}


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

    for path in ("user-data.sh", "cloud-init.yaml"):
        size = (ROOT / "examples" / path).stat().st_size
        check(size <= LIMIT, f"examples/{path} has {size} bytes: EC2 takes {LIMIT}")
    if shutil.which("shellcheck"):
        scripts = ("examples/user-data.sh", "examples/zk-hosts-prestart", "tests/ensemble/host-init")
        run("shellcheck", *(ROOT / path for path in scripts))
