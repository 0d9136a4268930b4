"""A client of the ensemble that knows its servers by name only, through its host's hosts file: it creates numbered znodes as
long as it lives, and prints the number of each that was acknowledged. Words on its standard input: `pause` and `go`."""

import logging
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError

FOLDER = "/story"

logging.basicConfig(level=logging.CRITICAL)
may_write = threading.Event()
may_write.set()


def obey():
    for word in sys.stdin:
        if word.strip() == "pause":
            may_write.clear()
        else:
            may_write.set()


def main(servers):
    threading.Thread(target=obey, daemon=True).start()
    once = {"max_tries": 0}
    client = KazooClient(servers, timeout=6, connection_retry={"max_tries": -1, "max_delay": 0.5}, command_retry=once)
    client.start(timeout=120)
    client.ensure_path(FOLDER)
    number = 0
    while True:
        if not may_write.is_set():
            print("paused", flush=True)
            may_write.wait()
        try:
            client.create(f"{FOLDER}/{number:07}", b"%d" % number)
            print(number, flush=True)
        except (KazooException, KazooTimeoutError):
            # Perhaps written, perhaps not; nobody was promised anything.
            pass
        number += 1
        time.sleep(0.03)


main(sys.argv[1])
