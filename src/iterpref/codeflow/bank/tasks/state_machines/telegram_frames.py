"""Write a class `FrameReader` for a weather mast sending frames: byte 0x02, a length byte n from 1 to 32, n data
bytes, and a checksum byte, the sum of the data modulo 256. `feed(data)` takes any piece of the stream as bytes and
returns a list with the data, as bytes, of frames completed by it. Bytes outside frames are skipped. A bad length or
checksum drops the frame and adds one to the attribute `errors`; the search goes on after the bad byte."""


class FrameReader:
    START = 0x02
    MAXIMUM = 32

    def __init__(self) -> None:
        self.errors = 0
        self._state = "idle"
        self._length = 0
        self._data = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        frames = []
        for byte in data:
            if self._state == "idle":
                if byte == self.START:
                    self._state = "length"
            elif self._state == "length":
                self._begin(byte)
            elif self._state == "data":
                self._data.append(byte)
                if len(self._data) == self._length:
                    self._state = "checksum"
            else:
                self._state = "idle"
                if byte == sum(self._data) % 256:
                    frames.append(bytes(self._data))
                else:
                    self.errors += 1
        return frames

    def _begin(self, length: int) -> None:
        if 1 <= length <= self.MAXIMUM:
            self._length = length
            self._data.clear()
            self._state = "data"
        else:
            self.errors += 1
            self._state = "idle"


# --- tests ---

import unittest


class TestFrameReader(unittest.TestCase):
    def test_one_frame(self) -> None:
        reader = FrameReader()
        self.assertEqual(reader.feed(bytes([2, 3, 10, 20, 30, 60])), [bytes([10, 20, 30])])
        self.assertEqual(reader.errors, 0)

    def test_several_frames_with_noise_between(self) -> None:
        stream = bytes([7, 9, 2, 1, 5, 5, 0, 0, 2, 2, 1, 1, 2])
        self.assertEqual(FrameReader().feed(stream), [b"\x05", b"\x01\x01"])

    def test_frames_may_come_byte_by_byte(self) -> None:
        reader = FrameReader()
        answers = [reader.feed(bytes([byte])) for byte in (2, 2, 4, 8, 12)]
        self.assertEqual(answers, [[], [], [], [], [b"\x04\x08"]])

    def test_the_checksum_wraps_around(self) -> None:
        reader = FrameReader()
        self.assertEqual(reader.feed(bytes([2, 2, 200, 56, 0, 2, 2, 200, 100, 44])), [bytes([200, 56]), b"\xc8d"])
        self.assertEqual(reader.feed(bytes([2, 2, 255, 0, 255])), [b"\xff\x00"])

    def test_a_wrong_checksum_drops_the_frame(self) -> None:
        reader = FrameReader()
        self.assertEqual(reader.feed(bytes([2, 1, 5, 6, 2, 1, 5, 5])), [b"\x05"])
        self.assertEqual(reader.errors, 1)

    def test_lengths_out_of_range(self) -> None:
        reader = FrameReader()
        self.assertEqual(reader.feed(bytes([2, 0])), [])
        self.assertEqual(reader.errors, 1)
        self.assertEqual(reader.feed(bytes([2, 33])), [])
        self.assertEqual(reader.errors, 2)
        self.assertEqual(reader.feed(bytes([2, 1, 4, 4])), [b"\x04"])

    def test_the_longest_frame(self) -> None:
        data = bytes(range(32))
        self.assertEqual(FrameReader().feed(bytes([2, 32]) + data + bytes([sum(data) % 256])), [data])

    def test_start_bytes_inside_a_frame_are_data(self) -> None:
        reader = FrameReader()
        self.assertEqual(reader.feed(bytes([2, 2, 2, 2, 4])), [b"\x02\x02"])
        self.assertEqual(reader.feed(bytes([2, 1, 2, 2])), [b"\x02"])
        self.assertEqual(reader.errors, 0)

    def test_a_wrong_checksum_byte_starts_no_frame(self) -> None:
        reader = FrameReader()
        self.assertEqual(reader.feed(bytes([2, 1, 5, 2, 1, 5, 5])), [])
        self.assertEqual(reader.errors, 1)

    def test_frames_are_bytes_of_their_own(self) -> None:
        reader = FrameReader()
        first = reader.feed(bytes([2, 1, 5, 5]))
        reader.feed(bytes([2, 1, 6, 6]))
        self.assertEqual(first, [b"\x05"])
        self.assertIsInstance(first[0], bytes)
        self.assertEqual(reader.feed(b""), [])
