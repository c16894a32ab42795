"""What the logs of a selection cannot show, however it is looked at: said beside every diagnosis."""

from __future__ import annotations

import pandas as pd

from wslog.diagnosis.model import numbers, words

NO_CLIENT = (
    "No client log: clients that never reached these servers are not in it, so blocked networks, TLS failures and browsers that "
    "refuse cannot be seen; nor can sleep, changed networks, and what became of an outage."
)
NO_SERVICE = (
    "No server or proxy log: the HTTP status behind a browser's bare failure, and who ended a connection, cannot be seen; refused "
    "handshakes stay unexplained, or look like a blocked network."
)
NO_SILENCE = (
    "The client log does not tell how long connections were silent (longest_inbound_silence_ms): idle timeouts show in lifetimes "
    "only, and sleep only where the other side's log has the same connection."
)
NO_NETWORK = (
    "The client log does not tell the kind of network, and no network database was given: changed networks, mobile losses and "
    "blocked networks cannot be told."
)
NO_SESSION = "The client log names no sessions: retries, outages and flapping cannot be told."


def limits(totals: pd.DataFrame) -> tuple[str, ...]:
    """Return what cannot be seen, as sentences; none for an empty selection.

    Parameters
    ----------
    totals : pandas.DataFrame
        ``sql/diagnosis/totals.sql``.
    """
    if totals.empty:
        return ()
    is_client = words(totals, "side") == "client"
    if not is_client.any():
        return (NO_CLIENT,)
    found = [] if (~is_client).any() else [NO_SERVICE]
    for name, text in (("silence_count", NO_SILENCE), ("network_count", NO_NETWORK), ("session_count", NO_SESSION)):
        if numbers(totals, name)[is_client].sum() == 0:
            found.append(text)
    return tuple(found)
