"""The kinds of columns whose spelling differs between databases. Migrations are made of them too:
none may change for a database that it was ever used on.
"""

from sqlalchemy import LargeBinary, String, Text
from sqlalchemy.dialects.mysql import LONGBLOB, LONGTEXT, VARBINARY, VARCHAR


def key(length: int = 255) -> String:
    """Text that is compared and sorted by its code points, and up to its last space: as Python
    does, and SQLite anyway.
    """
    return (
        String(length)
        .with_variant(String(length, collation="C"), "postgresql")
        .with_variant(VARCHAR(length, charset="utf8mb4", collation="utf8mb4_nopad_bin"), "mariadb")
        .with_variant(VARCHAR(length, charset="utf8mb4", collation="utf8mb4_0900_bin"), "mysql")
    )


TEXT = Text().with_variant(LONGTEXT(charset="utf8mb4"), "mariadb", "mysql")
BYTES = LargeBinary().with_variant(LONGBLOB(), "mariadb", "mysql")
DIGEST = LargeBinary().with_variant(VARBINARY(16), "mariadb", "mysql")
