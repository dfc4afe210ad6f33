"""The ICE servers that may be set: no browser throws because of one."""

from __future__ import annotations

import json

import msgspec

from studymatch.settings.ice import read_ice_server
from tests.browser.conftest import EACH, ComeIn
from tests.support.ice_servers import TAKEN

REFUSAL = """(server => {
    try {
        new RTCPeerConnection({ iceServers: [server] }).close();
        return null;
    } catch (error) {
        return `${error}`;
    }
})"""


@EACH
def test_a_server_that_may_be_set_makes_no_browser_throw(come_in: ComeIn) -> None:
    ada = come_in("Ada").open()
    for given in TAKEN:
        server = json.dumps(msgspec.to_builtins(read_ice_server(given)))
        assert ada.tab.evaluate(f"{REFUSAL}({server})") is None, given
    assert ada.tab.evaluate(f"{REFUSAL}({{ urls: 'stun://a' }})") is not None, "others do"
