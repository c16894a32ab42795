-- steps: the events, each with the session it belongs to, its place in time, and whether it is a step of a connection attempt. Read
-- by sessions.sql and by the diagnosis; wslog.attempts has the same rules.
--   session_key  session_id; for a client log without any session id the source (a saved console is one session)
--   row_key      the row's place in the files as one number: sources by id, then line, then event of the line
--   order_us     event_at in microseconds; for a row without a time in a log that has times, the latest time before it
--   step         attempt, open, error or close of a WebSocket; null for every other event
SELECT e.*,
       f.source_rank * 10000000000000 + e.line_number * 1000 + e.event_index AS row_key,
       unix_micros(e.event_at) AS us,
       COALESCE(unix_micros(e.event_at), u.filled_us) AS order_us,
       COALESCE(e.session_id, CASE WHEN e.side = 'client' AND f.session_id_count = 0 THEN e.source_id END) AS session_key,
       CASE WHEN e.event IN ('attempt', 'open', 'error', 'close') AND COALESCE(e.transport, 'websocket') = 'websocket'
            THEN e.event END AS step
FROM events AS e
INNER JOIN origins AS f ON f.source_id = e.source_id
LEFT JOIN untimed AS u ON u.source_id = e.source_id AND u.line_number = e.line_number AND u.event_index = e.event_index
