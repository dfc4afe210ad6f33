"""The database of the tests of this floor."""

from tests.support.database import bare_conninfo, conninfo, data_dir, postgres_server, used_dir

__all__ = ["bare_conninfo", "conninfo", "data_dir", "postgres_server", "used_dir"]
