"""What a pass asks: nginx on loopback, which serves a registry over HTTP and over TLS with two kinds of keys."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import time

KINDS = {"rsa": "rsa:2048", "ecdsa": "ec -pkeyopt ec_paramgen_curve:P-256"}

# The root is what --ca-file names; the server sends the leaf and the intermediate.
CERTIFICATES = """
new() { openssl req -new -nodes -newkey $KEY -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"; }
printf 'basicConstraints=critical,CA:true\\n' | tee root.ext > middle.ext
printf 'subjectAltName=IP:127.0.0.1\\n' > leaf.ext
for name in root middle leaf; do new $name; done
openssl x509 -req -days 30 -in root.csr -extfile root.ext -out root.pem -signkey root.key
openssl x509 -req -days 30 -in middle.csr -extfile middle.ext -out middle.pem -CAcreateserial -CA root.pem -CAkey root.key
openssl x509 -req -days 30 -in leaf.csr -extfile leaf.ext -out leaf.pem -CAcreateserial -CA middle.pem -CAkey middle.key
cat leaf.pem middle.pem > chain.pem
"""


@contextlib.contextmanager
def serve(folder, text):
    """Serves `text` as s3://bucket/zk.json; gives the endpoints by kind: http, rsa, ecdsa. `folder`/KIND/root.pem signed them."""
    (folder / "www/bucket").mkdir(parents=True)
    (folder / "www/bucket/zk.json").write_text(text)
    for kind, key in KINDS.items():
        (folder / kind).mkdir()
        environment = {"KEY": key, "PATH": os.environ["PATH"]}
        subprocess.run(["sh", "-euc", CERTIFICATES], cwd=folder / kind, env=environment, check=True, capture_output=True)
    ports = dict(zip(["http", *KINDS], free_ports(3)))
    # However this process ends, nginx ends with it.
    bound = ["setpriv", "--pdeathsig", "TERM"]
    nginx = subprocess.Popen([*bound, program(), "-e", folder / "log", "-c", configuration(folder, ports)])
    try:
        wait(ports["http"], nginx)
        yield {kind: f"{'http' if kind == 'http' else 'https'}://127.0.0.1:{port}" for kind, port in ports.items()}
    finally:
        nginx.terminate()
        nginx.wait()


def program():
    """nginx as installed, or as tests/run unpacked it."""
    unpacked = pathlib.Path(__file__).parents[2] / "target/tools/nginx/usr/sbin"
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:{unpacked}")
    return found or exit("nginx is missing: tests/run fetches it")


def configuration(folder, ports):
    servers = f"server {{ listen 127.0.0.1:{ports['http']}; }}\n"
    for kind in KINDS:
        keys = f"ssl_certificate {kind}/chain.pem; ssl_certificate_key {kind}/leaf.key;"
        servers += f"server {{ listen 127.0.0.1:{ports[kind]} ssl; ssl_protocols TLSv1.2 TLSv1.3; {keys} }}\n"
    temporary = "".join(f"{kind}_temp_path {folder}/temp;" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    http = f"access_log off; {temporary} root {folder}/www;\n{servers}"
    text = f"daemon off; user root; pid {folder}/pid; error_log {folder}/log;\nevents {{}}\nhttp {{ {http} }}\n"
    path = folder / "nginx.conf"
    path.write_text(text)
    return path


def free_ports(count):
    """Ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


def wait(port, server):
    """Until something serves there; a minute is for machines that are busy."""
    for _ in range(600):
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", port)).close()
        if server.poll() is not None:
            break
        time.sleep(0.1)
    exit("nginx does not serve")
