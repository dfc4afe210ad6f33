"""The crowd: simulated browsers that meet over real sockets, and the instruments that measure the server.

It is a client and nothing else: it shares no code with the server, so that a mistake of one is not repeated
by the other. `command` is what `studymatch crowd` calls, `conductor` leads a run and measures the server,
`worker` is one process with its share of the people, `visitor` one person, `connection` their WebSocket.
"""
