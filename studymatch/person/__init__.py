"""One person: the actor that runs their encounters, and its parts.

Read `user` first (all states in order), then `session` (from the match to the end). The actor waits in
`inbox` and sends to the page through `outgoing`. `answers` and `accounts` limit what a person may do; `saved`
is the state of a person that is saved and restored over a restart.
"""
