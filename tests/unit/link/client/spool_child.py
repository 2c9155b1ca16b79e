"""Fills and sends a spool until it is killed: python spool_child.py FOLDER

`made` gets a line per batch once the spool has it; `server` one per delivery, as a server would
see it before it drops duplicates.
"""

import os
import sys
from pathlib import Path

from hauberk.host.clock import SystemClock
from hauberk.link.client.sender import Sender
from hauberk.link.client.spool import Spool
from hauberk.schema.link import BatchReply


class Log:
    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def line(self, text):
        os.write(self.fd, text.encode() + b"\n")


class Server:
    def __init__(self, path):
        self.log = Log(path)

    def batch(self, envelope):
        self.log.line(envelope.decode())
        return BatchReply(sequence=0)


def seal(item):
    return f"{item.boot} {item.sequence} {item.batch.split(b'|')[0].decode()}".encode()


def main(folder, limit=None):
    spool = Spool(folder / "spool", boot="boot-1", clock=SystemClock(), max_bytes=1 << 30)
    sender = Sender(
        spool, Server(folder / "server"), seal, random=lambda: 0.5, quarantine=folder / "q"
    )
    made = Log(folder / "made")
    number = 0
    while limit is None:
        number += 1
        name = f"{os.getpid()}-{number}"
        lane = "i" if number % 7 == 0 else "e"
        assert spool.append(lane, name.encode() + b"|" + b"p" * (number % 5000), 1) is not None
        made.line(name)
        if number % 3:
            sender.step()
        if number == 1:
            print("running", flush=True)
    while sender.step().state == "sent":
        pass
    spool.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
