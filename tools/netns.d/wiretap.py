#!/usr/bin/env python3
"""Notes every UDP datagram that passes one end of a wire: when, which way, how long.

    python3 wiretap.py DEVICE FILE

Writes a line a datagram to FILE: CLOCK_MONOTONIC milliseconds, `in` or `out` as the device sees it, bytes of UDP payload, the TOS
byte. The moment is the kernel's, so that a slow reader does not look like a gap. Needs root. Ends on SIGTERM. Standard library only.
"""

import socket
import struct
import sys
import time
from pathlib import Path

ETH_P_ALL, ETH_P_IP = 0x0003, 0x0800
"""Only a socket for everything sees what goes out."""
SO_TIMESTAMPNS = 35
"""Linux: the kernel's time of arrival comes with every packet."""
BUFFER = 1 << 22


def payload_bytes(packet: bytes) -> int | None:
    """Length of what a UDP datagram carries; None if the packet is none."""
    if len(packet) < 28 or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_UDP:
        return None
    head = (packet[0] & 0x0F) * 4
    if len(packet) < head + 8:
        return None
    return struct.unpack_from("!H", packet, head + 4)[0] - 8


def main(device: str, path: str) -> int:
    """Notes until it is ended."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.bind((device, ETH_P_ALL))
    with Path(path).open("w", buffering=1) as out:
        while True:
            packet, extra, _, address = sock.recvmsg(2_048, 64)
            length = payload_bytes(packet) if address[1] == ETH_P_IP else None
            if length is not None:
                way = "out" if address[2] == socket.PACKET_OUTGOING else "in"
                out.write(f"{_at_ms(extra):.3f} {way} {length} {packet[1]}\n")


def _at_ms(extra: list[tuple[int, int, bytes]]) -> float:
    """The kernel's time of arrival on the clock of the events."""
    now = time.monotonic_ns()
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanos = struct.unpack("qq", data[:16])
            return (now - (time.time_ns() - seconds * 1_000_000_000 - nanos)) / 1e6
    return now / 1e6


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
