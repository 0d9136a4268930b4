#!/usr/bin/env python3
"""examples/terraform: it parses, its policies are those of examples/iam-*.json, and it fits the program and its user-data.

python-hcl2 gives strings with their quotes, and references as ${...}. tests/run installs it.
"""

import json
import pathlib
import re
import sys

try:
    import hcl2
except ImportError:
    sys.exit("tests/terraform.py: python-hcl2 is missing: tests/run installs it")

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"
faults = []


def check(holds, what):
    if not holds:
        faults.append(what)


def plain(value):
    """Without quotes, marks of blocks and comments; and the bucket and the key as the policies in JSON name them."""
    if isinstance(value, dict):
        return {plain(key): plain(inner) for key, inner in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, str):
        value = value.removeprefix('"').removesuffix('"')
        value = value.replace("${aws_s3_bucket.registry.arn}", "arn:aws:s3:::BUCKET").replace("${var.key}", "KEY")
    return value


def load():
    """All files in one: kind, type and name of a block to its body; and the local values."""
    blocks, local_values = {}, {}
    for path in sorted((EXAMPLES / "terraform").glob("*.tf")):
        with path.open() as file:
            parsed = plain(hcl2.load(file))
        for kind, entries in parsed.items():
            for entry in entries:
                if kind == "locals":
                    local_values |= entry
                elif kind in ("data", "resource"):
                    ((of, named),) = entry.items()
                    ((name, body),) = named.items()
                    check((kind, of, name) not in blocks, f"{of}.{name} stands twice")
                    blocks[kind, of, name] = body
                elif kind in ("variable", "output"):
                    ((name, body),) = entry.items()
                    blocks[kind, name] = body
    return blocks, local_values


def listed(value):
    return sorted(value) if isinstance(value, list) else [value]


def of_json(path):
    """A policy as data in which the order and one-element lists make no difference."""
    policy = json.loads((EXAMPLES / path).read_text())
    statements = {}
    for statement in policy["Statement"]:
        tests = statement.get("Condition", {})
        statements[statement["Sid"]] = {
            "effect": statement["Effect"],
            "actions": listed(statement["Action"]),
            "resources": listed(statement["Resource"]),
            "principals": listed(statement.get("Principal", [])),
            "conditions": sorted((test, key, listed(of)) for test, keys in tests.items() for key, of in keys.items()),
        }
        check(set(statement) <= {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}, f"{path}: {statement}")
    return statements


def of_terraform(blocks, name):
    """With the statements of the documents that it takes as its sources."""
    document = blocks["data", "aws_iam_policy_document", name]
    statements = {}
    for source in document.get("source_policy_documents", []):
        statements |= of_terraform(blocks, re.fullmatch(r"\$\{data\.aws_iam_policy_document\.(\w+)\.json\}", source)[1])
    for statement in document["statement"]:
        conditions = statement.get("condition", [])
        principals = statement.get("principals", [])
        statements[statement["sid"]] = {
            "effect": statement.get("effect", "Allow"),
            "actions": listed(statement["actions"]),
            "resources": listed(statement["resources"]),
            "principals": sorted(name for of in principals for name in of["identifiers"]),
            "conditions": sorted((of["test"], of["variable"], listed(of["values"])) for of in conditions),
        }
    return statements


def policies(blocks):
    document = lambda name: of_terraform(blocks, name)
    register = of_json("iam-register.json")
    # AWS keeps conditions, so the right to test that is for other stores.
    check(register.pop("TestTheStoreWhereItIsNotAws", None), "iam-register.json has no right to test the store")
    for name, wanted in [
        ("bucket", of_json("iam-bucket-policy.json")),
        ("sync", of_json("iam-sync.json")),
        ("register", register),
    ]:
        check(document(name) == wanted, f"the policy {name} is {document(name)}, in JSON {wanted}")
    for resource, name, attribute, policy in [
        ("aws_s3_bucket_policy", "registry", "policy", "bucket"),
        ("aws_iam_policy", "sync", "policy", "sync"),
        ("aws_iam_role_policy", "register", "policy", "register"),
        ("aws_iam_role", "server", "assume_role_policy", "ec2"),
    ]:
        given = blocks["resource", resource, name][attribute]
        check(given == f"${{data.aws_iam_policy_document.{policy}.json}}", f"{resource}.{name} has the policy {given}")
    (versioning,) = blocks["resource", "aws_s3_bucket_versioning", "registry"]["versioning_configuration"]
    check(versioning["status"] == "Enabled", "the bucket keeps no versions")


def group(blocks, local_values):
    server = blocks["resource", "aws_autoscaling_group", "server"]
    for bound in ("min_size", "max_size", "desired_capacity"):
        check(server[bound] == "${var.size}", f"the group's {bound} is {server[bound]}")
    check(blocks["variable", "size"]["default"] == 3, "the group has no 3 servers")
    template = blocks["resource", "aws_launch_template", "server"]
    check(template["user_data"] == "${base64gzip(local.user_data)}", f"user-data: {template['user_data']}")
    check(template["metadata_options"][0]["http_tokens"] == "required", "IMDSv1 is allowed")

    # What is set must be a setting of the script; without a number it claims.
    given = local_values["user_data"]
    check('file("${path.module}/../user-data.sh")' in given and "local.exports" in given, f"user-data: {given}")
    script = (EXAMPLES / "user-data.sh").read_text()
    settings = set(re.findall(r"^(\w+)=\$\{\1-", script, re.MULTILINE))
    check(settings >= set(local_values["settings"]), f"{set(local_values['settings']) - settings} are no settings")
    check("ZK_HOSTS_ID" not in local_values["settings"], "a server is given a number")


def network(blocks, local_values):
    options = (EXAMPLES.parent / "src/cli/mod.rs").read_text()
    ports = local_values["ports"]
    for name, option in [("election", "ZK_HOSTS_PROBE_PORT"), ("client", "ZK_HOSTS_CLIENT_PORT")]:
        check(f'env = "{option}", default_value = "{ports[name]}"' in options, f"the {name} port is not {option}'s")
    zoo_cfg = (EXAMPLES / "user-data.sh").read_text()
    check(f":{ports['leader']}:{ports['election']}" in zoo_cfg, "zoo.cfg has other ports for the servers")
    check(f"clientPort={ports['client']}" in zoo_cfg, "zoo.cfg has another port for clients")

    among = blocks["resource", "aws_vpc_security_group_ingress_rule", "server"]
    own = "${aws_security_group.server.id}"
    check(among["for_each"] == "${local.ports}", f"the servers reach each other by {among['for_each']}")
    check(among["security_group_id"] == among["referenced_security_group_id"] == own, "the servers do not reach each other")
    check(among["from_port"] == among["to_port"] == "${each.value}", "the ports are others")
    check(blocks["resource", "aws_launch_template", "server"]["vpc_security_group_ids"] == [own], "the group is not used")


def references(blocks):
    """Each reference is to something that is there."""
    names = {f"{of}.{name}" for kind, of, name in (key for key in blocks if len(key) == 3) if kind == "resource"}
    names |= {f"data.{of}.{name}" for kind, of, name in (key for key in blocks if len(key) == 3) if kind == "data"}
    names |= {f"var.{name}" for kind, name in (key for key in blocks if len(key) == 2) if kind == "variable"}
    used = set()
    for path in (EXAMPLES / "terraform").glob("*.tf"):
        used |= set(re.findall(r"\b(var\.\w+|data\.\w+\.\w+|(?<!data\.)aws_\w+\.\w+)", path.read_text()))
    check(used <= names, f"not there: {used - names}")
    unused = {name for name in names if name.startswith("var.")} - used
    check(not unused, f"not used: {unused}")


def main():
    blocks, local_values = load()
    policies(blocks)
    group(blocks, local_values)
    network(blocks, local_values)
    references(blocks)
    if faults:
        sys.exit("\n".join(f"tests/terraform.py: {fault}" for fault in faults))


if __name__ == "__main__":
    main()
