"""The rules, all of them pure: values in, values out. No trio, no clock, no chance, no I/O.

Read `lifecycle` first (what may happen to a person), then `protocol` (what travels on the WebSocket) and
`pool` (who meets whom). `people` and `person_state` say who somebody is and where they stand, `outbox` what
has to be sent again, `records` what is recorded, `sentences` and `waits` what people are told.
"""
