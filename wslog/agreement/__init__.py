"""Both sides of the same connections: client attempts joined with those in the logs of servers and proxies.

    attempts -> rows -> pairs by id (``sql/links.sql``, ``sql/agreement/id_pairs.sql``)
                     -> clocks -> likeness -> candidates -> one-to-one pairs by time
                     -> matches -> matrix

Ids are joined in SQL, on any engine. The rest is numpy: clocks and likeness are learnt in rounds from one another, and that one
attempt has one partner is no question of single rows.
"""

from wslog.agreement.agree import Agreement, agreement
from wslog.agreement.table import clocks, make, matches

__all__ = ["Agreement", "agreement", "clocks", "make", "matches"]
