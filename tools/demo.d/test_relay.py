"""A border link: it carries both ways, is cut, heals, delays and reorders. Real sockets on loopback, one thread."""

import contextlib
import socket
import unittest

from relay import LOCAL, Relay


def _port() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LOCAL, 0))
    sock.settimeout(0.0)
    return sock


class ARelay(unittest.TestCase):
    def setUp(self) -> None:
        self.gateway, self.dialler, self.other = _port(), _port(), _port()
        self.relay = Relay((LOCAL, 0), self.gateway.getsockname())
        self.front = self.relay.front.getsockname()
        for closed in (self.gateway, self.dialler, self.other, self.relay):
            self.addCleanup(closed.close)

    def pass_on(self, sender: socket.socket, payload: bytes, to: tuple[str, int]) -> None:
        sender.sendto(payload, to)
        self.relay.step(1.0)

    def test_answers_go_back_to_who_asked(self) -> None:
        self.pass_on(self.dialler, b"one", self.front)
        _, back_to_one = self.gateway.recvfrom(100)
        self.pass_on(self.other, b"two", self.front)
        self.assertEqual(self.gateway.recvfrom(100)[0], b"two")
        self.pass_on(self.gateway, b"for one", back_to_one)
        self.assertEqual(self.dialler.recvfrom(100), (b"for one", self.front))
        with self.assertRaises(BlockingIOError):
            self.other.recvfrom(100)

    def test_nothing_passes_a_cut_link_in_either_direction_until_it_heals(self) -> None:
        self.pass_on(self.dialler, b"before", self.front)
        _, back = self.gateway.recvfrom(100)
        self.assertEqual(self.relay.obey("drop"), "drop")
        self.pass_on(self.dialler, b"lost", self.front)
        self.pass_on(self.gateway, b"lost", back)
        self.assertEqual(self.relay.obey("pass"), "pass")
        self.pass_on(self.dialler, b"after", self.front)
        self.assertEqual(self.gateway.recvfrom(100)[0], b"after")
        with self.assertRaises(BlockingIOError):
            self.dialler.recvfrom(100)
        self.assertEqual((self.relay.forwarded, self.relay.dropped), (2, 2))

    def test_a_delayed_datagram_is_held_and_then_sent(self) -> None:
        self.relay.obey("delay 30")
        self.pass_on(self.dialler, b"later", self.front)
        with self.assertRaises(BlockingIOError):
            self.gateway.recvfrom(100)
        self.relay.step(1.0)
        self.assertEqual(self.gateway.recvfrom(100)[0], b"later")

    def test_a_cut_loses_what_waits(self) -> None:
        self.relay.obey("delay 10")
        self.pass_on(self.dialler, b"lost", self.front)
        self.relay.obey("drop")
        self.relay.step(0.02)
        self.assertEqual((self.relay.forwarded, self.relay.dropped), (0, 1))

    def test_jitter_keeps_the_order_and_reordering_does_not(self) -> None:
        for reorder, kept in (("0", True), ("1", False)):
            self.relay.obey("jitter 20")
            self.relay.obey(f"reorder {reorder}")
            for number in range(40):
                self.dialler.sendto(bytes([number]), self.front)
            came = []
            while len(came) < 40:
                self.relay.step(0.05)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        came.append(self.gateway.recv(100)[0])
            self.assertEqual(came == sorted(came), kept, came)

    def test_what_is_no_command_changes_nothing(self) -> None:
        for line in ("", "stop", "delay", "delay x", "delay -1", "jitter", "reorder 2", "drop now"):
            self.assertIsNone(self.relay.obey(line), line)
        self.assertEqual((self.relay.state, self.relay.delay_ms), ("pass", 0.0))


if __name__ == "__main__":
    unittest.main()
