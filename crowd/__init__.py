"""The load generator: simulated browsers that meet over real sockets, and measurements of the server.

It is only a client and shares no code with the server, so that both cannot contain the same mistake. The
command line (`web.crowd_command`) passes in a function that makes guest tokens, which needs the server's
code. `conductor` leads a run and measures the server, `worker` is one process with its share of the visitors,
`visitor` is one person, and `connection` is a visitor's WebSocket.
"""
