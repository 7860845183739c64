"""What is read from packets and from conntrack, and what is asked for on the command line. Makes no network.

    python3 -m unittest discover -s tools/netns.d
"""

import contextlib
import io
import socket
import struct
import unittest
from unittest import mock

import netns
import wires
import wiretap

LISTED = """udp      17 29 src=10.77.9.2 dst=10.77.1.2 sport=41000 dport=7001 src=10.77.1.2 dst=10.77.1.1 sport=7001 dport=50123 use=1
udp      17 5 src=10.77.9.2 dst=10.77.1.2 sport=41001 dport=7001 [UNREPLIED] src=10.77.1.2 dst=10.77.1.1 sport=7001 dport=40001 use=1
"""


def packet(protocol: int, payload: bytes, options: int = 0) -> bytes:
    """An IPv4 packet with `options` words of options."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45 + options, 0, 28 + len(payload), 0, 0, 64, protocol, 0, bytes(4), bytes(4))
    return head + bytes(4 * options) + struct.pack("!HHHH", 7001, 40000, 8 + len(payload), 0) + payload


class Packets(unittest.TestCase):
    def test_udp_is_measured_with_and_without_options(self) -> None:
        self.assertEqual(wiretap.payload_bytes(packet(socket.IPPROTO_UDP, bytes(95))), 95)
        self.assertEqual(wiretap.payload_bytes(packet(socket.IPPROTO_UDP, bytes(95), options=2)), 95)

    def test_anything_else_is_not(self) -> None:
        for other in (packet(socket.IPPROTO_TCP, bytes(95)), b"", bytes(27), b"\x60" + bytes(60), packet(socket.IPPROTO_UDP, b"", 0)[:27]):
            self.assertIsNone(wiretap.payload_bytes(other))
        self.assertIsNone(wiretap.payload_bytes(packet(socket.IPPROTO_UDP, b"", options=1)[:30]))


class Ports(unittest.TestCase):
    def test_the_port_outside_is_the_one_that_answers_come_to(self) -> None:
        self.assertEqual(wires.mapped_port(LISTED), 50_123)
        self.assertIsNone(wires.mapped_port(""))


class WhyNot(unittest.TestCase):
    def test_who_is_not_root_is_told_what_to_do(self) -> None:
        with mock.patch("os.geteuid", return_value=1_000):
            self.assertIn("sudo tools/netns", wires.why_not() or "")

    def test_a_missing_program_is_named_with_its_package(self) -> None:
        with mock.patch("os.geteuid", return_value=0), mock.patch("shutil.which", return_value=None):
            self.assertIn("missing: conntrack iproute2 nftables; run: tools/setup netns", wires.why_not() or "")

    def test_a_kernel_or_container_that_refuses_says_so(self) -> None:
        refused = wires.WiresError("ip netns add x: Operation not permitted")
        root, tools = mock.patch("os.geteuid", return_value=0), mock.patch("shutil.which", return_value="/x")
        with root, tools, mock.patch("wires.run", side_effect=refused):
            self.assertIn("Operation not permitted", wires.why_not() or "")


class WhatIsAskedFor(unittest.TestCase):
    def asked(self, *words: str) -> tuple[list[str], int]:
        with mock.patch("sys.argv", ["netns", *words]):
            options = netns.arguments()
        return options.scenes, options.rounds

    def test_nothing_means_every_scene_and_a_few_rounds(self) -> None:
        self.assertEqual(self.asked(), (list(netns.SCENES), netns.SHORT_ROUNDS))
        self.assertEqual(self.asked("--rounds", "0"), (list(netns.SCENES), 0))

    def test_names_mean_those_alone(self) -> None:
        self.assertEqual(self.asked("rebound", "unit-killed"), (["rebound", "unit-killed"], 0))
        self.assertEqual(self.asked("kill", "--rounds", "200"), ([], 200))
        self.assertEqual(self.asked("kill", "lossy"), (["lossy"], netns.SHORT_ROUNDS))

    def test_every_scene_has_a_title(self) -> None:
        for name, (scene, _) in netns.SCENES.items():
            self.assertTrue((scene.__doc__ or "").strip(), name)

    def test_an_unknown_scene_is_refused(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()) as said, self.assertRaises(SystemExit) as end:
            self.asked("flood")
        self.assertEqual(end.exception.code, 2)
        self.assertIn("no scene 'flood'", said.getvalue())


if __name__ == "__main__":
    unittest.main()
