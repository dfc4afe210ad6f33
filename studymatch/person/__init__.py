"""One person: the actor that lives through their encounters, and what belongs to it.

Read `user` first (the whole story), then `session` (from the match to the end). `inbox` is where the actor
waits, `outgoing` is how it reaches the page, `answers` and `accounts` limit what a person may do, `saved` is
what is kept of them over a restart.
"""
