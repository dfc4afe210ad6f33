"""PostgreSQL for any program: a private server, and connections in worker threads.

Nothing here depends on people or sessions. `private` starts and stops a private server in a data folder
(`folders`, `programs`, `leftover`); `database` connects to any server from trio; `conninfo` parses its
address.
"""
