"""Recording people and sessions in PostgreSQL: the ledger, its backlog, and the SQL.

`ledger` is the actor that everybody tells; `backlog` keeps in order, in memory and then in a file, what the
database has not taken yet; `store` has the SQL that writes, `schema` the tables and their migrations.
"""
