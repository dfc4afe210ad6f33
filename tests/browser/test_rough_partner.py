"""A partner whose browser sends what no page of ours sends: the other one stays in the call."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Visit
from tests.support.visitors import meet

PESTERED_S = 5
PER_S = 25
"""Within the rate that the server allows, of bytes too: a page that sends more is asked to wait itself."""

AN_OFFER = (
    "{ kind: 'description', description: { type: 'offer', sdp: watch.calls()[0].localDescription.sdp } }"
)
SIGNALS = {
    "resync": "[{ kind: 'resync' }]",
    "an offer": f"[{AN_OFFER}]",
    "malformed": (
        "[{ kind: 'description' }, { kind: 'description', description: { type: 'offer' } },"
        " { kind: 'description', description: null },"
        " { kind: 'description', description: { type: 'offer', sdp: 'x'.repeat(40000) } },"
        " { kind: 'description', description: { type: 'rollback', sdp: '' } },"
        " { kind: 'candidates', candidates: 7 }, { kind: 'candidates', candidates: [null, {}, 'x'] },"
        " { kind: 'x'.repeat(40000) }, 'x'.repeat(40000), null]"
    ),
    "candidates": (
        "[{ kind: 'candidates', candidates: Array.from({ length: 80 }, (_, i) => ({ sdpMid: '0', candidate:"
        " `candidate:${i} 1 udp 1 192.0.2.${i} 9 typ host` })) }]"
    ),
}


@pytest.mark.parametrize("what", SIGNALS)
def test_whoever_is_pestered_says_little_and_stays_in_the_call(visit: Visit, what: str) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    for visitor in (ada, bob):
        visitor.until_media_flows()
    before = ada.asks("said.length")
    bob.asks(f"pester({SIGNALS[what]}, {PER_S}, {PESTERED_S})")
    said = ada.asks(f"said.slice({before})")
    assert len(said) <= 4 * PESTERED_S + 6, [frame["type"] for frame in said]
    assert ada.asks("sockets.length") == 1, "nobody hung up on her"
    ada.until("connected")
    bob.until("connected")
    bob.press("Chat").fill("#chat-text", "Sorry!").key("Enter")
    ada.until_true("watch.frames.some(frame => frame.type === 'chat' && frame.text === 'Sorry!')")
    ada.until_media_flows()
