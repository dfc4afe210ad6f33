"""The rules as pure functions and data: no trio, no clock, no random numbers, no I/O.

Read `lifecycle` first (what may happen to a person), then `protocol` (the frames on the WebSocket) and `pool`
(who meets whom). `people` and `person_state` describe a person and their state, `outbox` selects the frames
to send again, `records` defines what is recorded, `sentences` and `waits` what people read.
"""
