"""PostgreSQL, as any program could use it: a private server, and one connection in worker threads.

Nothing here knows of people or sessions. `private` starts and stops a server of one's own in a data folder
(`folders`, `programs`, `leftover`); `database` reaches any server from trio; `conninfo` reads its address.
"""
