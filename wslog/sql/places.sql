-- places: the events of sessions and named connections as numbers, each with its thread and its place in it. The one sort of all
-- events; few and narrow columns, since a window pays for every byte. Read by tangled.sql, knots.sql, strands.sql, spans.sql.
--   thread_id       row_key of the thread's first event      n   number of the event in its thread, from 1
--   moment          attempts' steps of the thread up to here: an event that is no step has the moment of the step before it
--   own_connection  connection_id, where it tells attempts apart: in a session, not in a proxy's log
WITH numbers AS (
  SELECT row_key, us, order_us, thread_name, thread_home, session_key IS NULL AS is_nameless, side = 'proxy' AS is_proxy,
         CASE WHEN session_key IS NOT NULL AND side <> 'proxy' AND step IS NOT NULL THEN connection_id END AS own_connection,
         CASE step WHEN 'attempt' THEN 1 WHEN 'open' THEN 2 WHEN 'error' THEN 3 WHEN 'close' THEN 4 END AS step_word,
         CASE event WHEN 'retry' THEN 1 WHEN 'fallback' THEN 2
                    WHEN 'poll' THEN CASE WHEN error_class IS NULL THEN 3 ELSE 4 END END AS mark_word,
         CASE network_type WHEN 'wifi' THEN 1 WHEN 'cellular' THEN 2 WHEN 'ethernet' THEN 3 WHEN 'vpn' THEN 4
                           WHEN 'none' THEN 5 WHEN 'other' THEN 6 WHEN 'unknown' THEN 7 END AS network_word,
         CASE effective_type WHEN 'slow-2g' THEN 1 WHEN '2g' THEN 2 WHEN '3g' THEN 3 WHEN '4g' THEN 4 END AS effective_word,
         CASE WHEN event = 'retry' AND retry_number BETWEEN 0 AND 999999 THEN retry_number END AS said_retry,
         CASE WHEN max_retries BETWEEN 0 AND 999999 THEN max_retries END AS said_max
  FROM steps
  WHERE thread_name IS NOT NULL
)
SELECT row_key, us, FIRST_VALUE(row_key) OVER w AS thread_id, ROW_NUMBER() OVER w AS n, COUNT(step_word) OVER w AS moment,
       is_proxy, is_nameless, own_connection, step_word, mark_word, network_word, effective_word, said_retry, said_max
FROM numbers
WINDOW w AS (PARTITION BY thread_name, thread_home, is_nameless
             ORDER BY order_us NULLS FIRST, row_key ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
