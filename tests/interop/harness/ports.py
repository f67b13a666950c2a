"""Free TCP ports on loopback.

Envoy's listeners must have a fixed port in the configuration, so one is looked for before it starts.
Ports stay below 32768, where the kernel's ephemeral range begins: no outgoing connection can take one in between.
"""

import random
import socket

_taken = set()


def free_port():
    """A port nothing listens on and that this process has not handed out before."""
    for _ in range(2000):
        port = random.randint(10_000, 32_000)
        if port in _taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken.add(port)
        return port
    raise RuntimeError("no free port between 10000 and 32000")


def refusing_port():
    """A bound socket that does not listen: connecting to it is refused for as long as it is kept open."""
    while True:
        port = free_port()
        sock = socket.socket()
        try:
            sock.bind(("127.0.0.1", port))
            return sock, port
        except OSError:
            sock.close()
