"""What the hosts find in their network: EC2's metadata service, the program to download, and the store."""

import hashlib
import http.client
import json
import secrets
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench import METADATA, ROOT, STORE, SWITCH, check, ip, run, until

REGION = "eu-west-1"
ROLE = "zookeeper"
KEYS = {"AccessKeyId": "AKIDROLE", "SecretAccessKey": "r0les3cr3t"}
BUCKET = "ensemble"
ENDPOINT = f"http://{STORE}:8333"
REGISTRY = f"s3://{BUCKET}/zk.json"


class Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, code, body=b""):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(address, handler):
    server = ThreadingHTTPServer(address, handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


class Metadata:
    """Version 2 of the service. It knows who asks by the address."""

    def __init__(self):
        self.hosts, self.tokens = {}, set()
        service = self

        class Handler(Quiet):
            def do_PUT(self):
                if self.path != "/latest/api/token" or "X-aws-ec2-metadata-token-ttl-seconds" not in self.headers:
                    return self.answer(400)
                token = secrets.token_urlsafe()
                service.tokens.add(token)
                self.answer(200, token.encode())

            def do_GET(self):
                if self.headers.get("X-aws-ec2-metadata-token") not in service.tokens:
                    return self.answer(401)
                text = service.texts(self.client_address[0]).get(self.path.removeprefix("/latest/meta-data/"))
                self.answer(404) if text is None else self.answer(200, text.encode())

        serve((METADATA, 80), Handler)

    def texts(self, address):
        host = self.hosts.get(address)
        if host is None:
            return {}
        return {
            "local-ipv4": host.address,
            "instance-id": host.instance,
            "placement/region": REGION,
            "iam/security-credentials/": ROLE,
            f"iam/security-credentials/{ROLE}": json.dumps({"Code": "Success", **KEYS}),
        }


class Download:
    """The program, at a URL with a checksum, as user-data wants it."""

    def __init__(self, folder):
        self.path = folder / "zk-hosts"
        run("strip", "-o", self.path, ROOT / "target/release/zk-hosts")
        content = self.path.read_bytes()

        class Handler(Quiet):
            def do_GET(self):
                self.answer(200, content) if self.path == "/zk-hosts" else self.answer(404)

        serve((SWITCH, 80), Handler)
        self.url, self.checksum = f"http://{SWITCH}/zk-hosts", hashlib.sha256(content).hexdigest()


class Store:
    """SeaweedFS on a machine of its own, with one empty bucket, and a role that may use it."""

    name, address = "store", STORE

    def __init__(self, bench):
        self.bench = bench
        folder = bench.folder / "store"
        (folder / "data").mkdir(parents=True)
        bench.plug_in(self)
        role = {"accessKey": KEYS["AccessKeyId"], "secretKey": KEYS["SecretAccessKey"]}
        rights = [f"{right}:{BUCKET}" for right in ("Read", "Write", "List")]
        identities = [{"name": ROLE, "credentials": [role], "actions": rights}]
        (folder / "identities.json").write_text(json.dumps({"identities": identities}))
        self.weed = ["nsenter", f"--net=/run/netns/{self.name}", ROOT / "target/tools/python/bin/weed"]
        words = [*self.weed, "mini", "-dir=data", f"-ip={STORE}", f"-ip.bind={STORE}"]
        words += ["-master.telemetry=false", "-admin.ui=false"]
        words += ["-webdav=false", "-s3.port=8333", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        words += ["-s3.config=identities.json", "-s3.autoCreateBucket=false"]
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            words, cwd=folder, env={"HOME": str(folder)}, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        until("the store makes a bucket", 60, self.make_bucket)

    def make_bucket(self):
        check(self.process.poll() is None, "the store has ended")
        script = f'echo "s3.bucket.create -name {BUCKET}" | "$@"'
        made = run("sh", "-c", script, "sh", *self.weed, "shell", f"-master={STORE}:9333", check=False, timeout=30)
        return "create bucket under" in made.stdout and self.answers()

    def answers(self):
        """Whether it serves, and refuses what nobody signed."""
        connection = http.client.HTTPConnection(STORE, 8333, timeout=2)
        try:
            connection.request("GET", f"/{BUCKET}/zk.json")
            return connection.getresponse().status == 403
        except OSError:
            return False
        finally:
            connection.close()

    def away(self):
        """Its link is cut: nothing answers, nothing refuses."""
        ip("link", "set", self.name, "down")

    def back(self):
        ip("link", "set", self.name, "up")

    def end(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
