"""How tables and their indexes are declared."""

from sqlalchemy import Column, Index, MetaData, Table, column

metadata = MetaData()


def make_table(name: str, *columns: Column[object] | Index) -> Table:
    """Make a table that SQLite keeps in its primary key's own tree: one look-up, one page to
    write.
    """
    return Table(name, metadata, *columns, sqlite_with_rowid=False)


def index_of_known(name: str, *columns: str, of: str, unique: bool = False) -> Index:
    """Where the database can, rows without a value in the column `of` cost the index nothing."""
    known = column(of).is_not(None)
    return Index(name, *columns, unique=unique, sqlite_where=known, postgresql_where=known)
