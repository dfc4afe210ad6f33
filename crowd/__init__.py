"""The crowd: simulated browsers that meet over real sockets, and the instruments that measure the server.

It is a client and nothing else: it shares no code with the server, so that a mistake of one is not repeated
by the other. The command line (`web.crowd_command`) hands in what only the server's code can do: tokens for
guests. `conductor` leads a run and measures the server,
`worker` is one process with its share of the people, `visitor` one person, `connection` their WebSocket.
"""
