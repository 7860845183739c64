"""Pictures of the display: what Xvfb keeps as XWD, as rows of pixels and as PNG. Standard library only."""

import struct
import zlib
from pathlib import Path

HEADER = struct.Struct(">25I")
BYTES_PER_COLOUR = 12

Colour = tuple[int, int, int]


class Picture:
    """A part of the screen, from its top left corner."""

    def __init__(self, width: int, height: int, rows: list[bytes]) -> None:
        """`rows` of red, green and blue bytes."""
        self.width, self.height, self.rows = width, height, rows

    @classmethod
    def of_screen(cls, xwd: bytes, width: int, height: int) -> "Picture":
        """From an XWD dump with 32 bits a pixel, least significant byte first."""
        fields = HEADER.unpack_from(xwd)
        header, line, bits, colours = fields[0], fields[12], fields[11], fields[19]
        if bits != 32 or fields[7] != 0:
            raise ValueError(f"the screen has {bits} bits a pixel, byte order {fields[7]}")
        start = header + colours * BYTES_PER_COLOUR
        rows = []
        for y in range(min(height, fields[5])):
            row = xwd[start + y * line : start + y * line + 4 * min(width, fields[4])]
            rgb = bytearray(len(row) // 4 * 3)
            rgb[0::3], rgb[1::3], rgb[2::3] = row[2::4], row[1::4], row[0::4]
            rows.append(bytes(rgb))
        return cls(len(rows[0]) // 3, len(rows), rows)

    def at(self, x: int, y: int) -> Colour:
        """The colour of a pixel."""
        red, green, blue = self.rows[y][3 * x : 3 * x + 3]
        return red, green, blue

    def png(self, path: Path) -> None:
        """Writes it."""
        raw = b"".join(b"\0" + row for row in self.rows)
        head = struct.pack(">2I5B", self.width, self.height, 8, 2, 0, 0, 0)
        chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(raw, 6)), (b"IEND", b""))
        body = b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
