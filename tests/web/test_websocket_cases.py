"""The cases of the Autobahn test suite that concern a server without compression, on both paths.

The numbers are Autobahn's (its categories 1 to 7: framing, pings, reserved bits, opcodes, fragments, UTF-8,
closing). Where it accepts several behaviours, these tests hold ours: strict, but not failing fast within a
message, and what comes in one packet with a violation may stay unanswered.
"""

from __future__ import annotations

import struct

import pytest
from hypercorn.typing import ASGIFramework

from tests.support.echo import serving
from tests.support.raw_client import CLOSE, CONTINUATION, PING, PONG, TEXT, Client, frame_head
from web.server import ServerLimits

LIMITS = ServerLimits(message_max_bytes=70_000, linger_s=0.2)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A whole frame of a client."""
    return frame_head(opcode, len(payload), fin=fin, rsv=rsv) + payload


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


async def exchange(echo: ASGIFramework, data: bytes, *expected: tuple[int, bytes], chop: int = 0) -> None:
    """Send `data` (in pieces of `chop` bytes); these frames come back, and the connection still works."""
    async with serving(echo, LIMITS) as served, served.client() as client:
        await client.upgrade()
        for start in range(0, len(data), chop or len(data) or 1):
            await client.send(data[start : start + (chop or len(data))])
        for each in expected:
            assert await client.frame() == each
        await still_works(client)


async def still_works(client: Client) -> None:
    await client.send(frame(TEXT, b"and on"))
    assert await client.frame() == (TEXT, b"and on")


async def ending(echo: ASGIFramework, data: bytes) -> tuple[int, bytes]:
    """Send a message, which is echoed, then `data`; code and reason of the close frame that comes then."""
    async with serving(echo, LIMITS) as served, served.client() as client:
        await client.upgrade()
        await still_works(client)
        await client.send(data)
        opcode, payload = await client.frame()
        assert opcode == CLOSE, f"expected a close frame and got {(opcode, payload[:80])}"
        assert await client.read_to_end() == b""
        return (struct.unpack("!H", payload[:2])[0] if payload else 1005), payload[2:]


@pytest.mark.parametrize("size", [0, 125, 126, 127, 128, 65_535, 65_536])
@pytest.mark.parametrize("chop", [0, 997])
async def test_1_1_a_text_of_any_size(echo: ASGIFramework, size: int, chop: int) -> None:
    await exchange(echo, frame(TEXT, b"*" * size), (TEXT, b"*" * size), chop=chop)


@pytest.mark.parametrize(
    "payload", [b"", b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125]
)
async def test_2_1_to_2_4_a_ping_is_answered_with_its_payload(echo: ASGIFramework, payload: bytes) -> None:
    await exchange(echo, frame(PING, payload), (PONG, payload), chop=1)


async def test_2_5_a_ping_is_too_large(echo: ASGIFramework) -> None:
    assert (await ending(echo, frame(PING, b"\xfe" * 126)))[0] == 1002


async def test_2_7_to_2_9_an_unasked_pong_is_ignored(echo: ASGIFramework) -> None:
    await exchange(echo, frame(PONG) + frame(PONG, b"unasked") + frame(PING, b"asked"), (PONG, b"asked"))


async def test_2_10_ten_pings_are_answered_in_order(echo: ASGIFramework) -> None:
    pings = [b"payload-%d" % number for number in range(10)]
    await exchange(echo, b"".join(frame(PING, ping) for ping in pings), *((PONG, ping) for ping in pings))


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, PING, CLOSE])
async def test_3_reserved_bits_are_refused(echo: ASGIFramework, opcode: int, rsv: int) -> None:
    assert (await ending(echo, frame(opcode, rsv=rsv)))[0] == 1002


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
async def test_4_reserved_opcodes_are_refused(echo: ASGIFramework, opcode: int) -> None:
    assert (await ending(echo, frame(opcode, b"reserved")))[0] == 1002


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_5_1_5_2_control_frames_have_no_fragments(echo: ASGIFramework, opcode: int) -> None:
    data = frame(opcode, b"one", fin=False) + frame(CONTINUATION, b"two")
    assert (await ending(echo, data))[0] == 1002


@pytest.mark.parametrize("chop", [0, 1])
async def test_5_3_to_5_8_fragments_make_one_message_whatever_is_in_between(
    echo: ASGIFramework, chop: int
) -> None:
    data = frame(TEXT, b"one ", fin=False) + frame(PING, b"!") + frame(CONTINUATION, b"two")
    await exchange(echo, data, (PONG, b"!"), (TEXT, b"one two"), chop=chop)


@pytest.mark.parametrize("fin", [True, False])
async def test_5_9_to_5_14_a_continuation_of_nothing(echo: ASGIFramework, fin: bool) -> None:
    assert (await ending(echo, frame(CONTINUATION, b"of what?", fin=fin) + frame(TEXT, b"x")))[0] == 1002


async def test_5_15_a_continuation_after_the_end(echo: ASGIFramework) -> None:
    async with serving(echo, LIMITS) as served, served.client() as client:
        await client.upgrade()
        await client.send(frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b"))
        assert await client.frame() == (TEXT, b"ab")
        await client.send(frame(CONTINUATION, b"c", fin=False))
        assert await client.close_code() == 1002


async def test_5_18_a_message_within_a_message(echo: ASGIFramework) -> None:
    assert (await ending(echo, frame(TEXT, b"one", fin=False) + frame(TEXT, b"two")))[0] == 1002


async def test_5_19_many_fragments_and_pings(echo: ASGIFramework) -> None:
    data = b"".join(
        [
            frame(TEXT, b"f1", fin=False),
            frame(CONTINUATION, b"f2", fin=False),
            frame(PING, b"p1"),
            frame(CONTINUATION, b"", fin=False),
            frame(CONTINUATION, b"f3", fin=False),
            frame(PING, b"p2"),
            frame(CONTINUATION, b"f4"),
        ]
    )
    await exchange(echo, data, (PONG, b"p1"), (PONG, b"p2"), (TEXT, b"f1f2f3f4"))


VALID = [
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\u0000",
    "\u007f",
    "\u0080",
    "\u07ff",
    "\u0800",
    "\ud7ff",
    "\ue000",
    "\ufffd",
    "\uffff",
    "\U00010000",
    "\U0010ffff",
]


@pytest.mark.parametrize("text", VALID)
@pytest.mark.parametrize("parts", [1, 1000])
async def test_6_1_to_6_2_valid_utf_8_is_echoed_however_it_is_cut(
    echo: ASGIFramework, text: str, parts: int
) -> None:
    payload = text.encode()
    size = max(1, len(payload) // parts)
    pieces = [payload[start : start + size] for start in range(0, len(payload), size)]
    data = b"".join(
        frame(CONTINUATION if number else TEXT, piece, fin=number == len(pieces) - 1)
        for number, piece in enumerate(pieces)
    )
    await exchange(echo, data, (TEXT, payload))


INVALID = {
    "6.3 surrogate in the midst": b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    "6.6 cut short": b"\xce\xba\xe1\xbd\xb9\xcf",
    "6.8 five bytes": b"\xf8\x88\x80\x80\x80",
    "6.8 six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "6.10 beyond the last": b"\xf4\x90\x80\x80",
    "6.12 continuation alone": b"\x80",
    "6.14 start alone": b"\xc0 \xc1 ",
    "6.16 fe and ff": b"\xfe\xfe\xff\xff",
    "6.18 overlong slash": b"\xc0\xaf",
    "6.18 overlong of three": b"\xe0\x80\xaf",
    "6.20 overlong zero": b"\xc0\x80",
    "6.21 surrogate": b"\xed\xa0\x80",
    "6.21 pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
}


@pytest.mark.parametrize("payload", INVALID.values(), ids=INVALID.keys())
@pytest.mark.parametrize("fragments", [1, 2])
async def test_6_3_to_6_21_invalid_utf_8_is_refused(
    echo: ASGIFramework, payload: bytes, fragments: int
) -> None:
    half = len(payload) // 2
    data = (
        frame(TEXT, payload)
        if fragments == 1
        else frame(TEXT, payload[:half], fin=False) + frame(CONTINUATION, payload[half:])
    )
    assert (await ending(echo, data))[0] == 1007


async def test_7_1_1_a_message_and_a_close(echo: ASGIFramework) -> None:
    assert await ending(echo, closing(1000)) == (1000, b"")


@pytest.mark.parametrize(
    "after", [closing(1000), frame(PING, b"late"), frame(TEXT, b"late")], ids=["close", "ping", "text"]
)
async def test_7_1_2_to_7_1_4_what_comes_after_a_close_is_ignored(echo: ASGIFramework, after: bytes) -> None:
    assert (await ending(echo, closing(1000) + after))[0] == 1000


async def test_7_1_5_a_close_in_the_midst_of_a_message(echo: ASGIFramework) -> None:
    code, _ = await ending(
        echo, frame(TEXT, b"frag", fin=False) + closing(1000) + frame(CONTINUATION, b"ment")
    )
    assert code in (1000, 1002)


async def test_7_3_1_a_close_without_a_code(echo: ASGIFramework) -> None:
    assert (await ending(echo, frame(CLOSE)))[0] in (1000, 1005)


async def test_7_3_2_half_a_code(echo: ASGIFramework) -> None:
    assert (await ending(echo, frame(CLOSE, b"a")))[0] == 1002


@pytest.mark.parametrize("size", [0, 10, 123])
async def test_7_3_3_to_7_3_5_a_reason(echo: ASGIFramework, size: int) -> None:
    assert await ending(echo, closing(1000, b"*" * size)) == (1000, b"*" * size)


async def test_7_3_6_a_reason_that_is_too_long(echo: ASGIFramework) -> None:
    assert (await ending(echo, closing(1000, b"*" * 124)))[0] == 1002


async def test_7_5_1_a_reason_that_is_not_utf_8(echo: ASGIFramework) -> None:
    assert (await ending(echo, closing(1000, b"\xce\xba\xed\xa0\x80")))[0] == 1007


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
)
async def test_7_7_a_code_that_may_be_used(echo: ASGIFramework, code: int) -> None:
    assert (await ending(echo, closing(code)))[0] == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535])
async def test_7_9_a_code_that_may_not_be_used(echo: ASGIFramework, code: int) -> None:
    assert (await ending(echo, closing(code)))[0] == 1002
