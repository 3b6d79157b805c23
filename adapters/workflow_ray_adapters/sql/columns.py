"""The kinds of columns that databases spell differently. Migrations use them too, so none may
change for a database that it was ever used on.
"""

from sqlalchemy import LargeBinary, String, Text
from sqlalchemy.dialects.mysql import LONGBLOB, LONGTEXT, VARBINARY, VARCHAR


def key(length: int = 255) -> String:
    """Return the type of text that is compared and sorted by its code points, trailing spaces
    included: as Python does it, and SQLite by default.
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
