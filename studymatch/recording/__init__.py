"""Records people and sessions in PostgreSQL: the ledger, its backlog, and the SQL.

`ledger` is the actor that receives all records; `backlog` keeps them in order, in memory and then in a file,
until they are in the database; `store` writes them, `schema` has the migrations of the tables. `queries`
reads the tables, for operators.
"""
