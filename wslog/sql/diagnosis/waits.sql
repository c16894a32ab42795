-- waits: the announced waits after which a client's next attempt began a second or more late, in the sessions of the selection.
--   late_ms         how much later than announced
--   before_late_ms  the same of the session's wait before, the one that led to the attempt before
--   apart_ms        from the begin of that attempt to the begin of the one after the wait
--   wait_count      all announced waits of the selection that an attempt follows
-- Read by wslog/diagnosis/throttled.py.
WITH chosen AS (
  SELECT DISTINCT format, session_key
  FROM attempts
  WHERE {window} AND {where} AND side = 'client' AND session_key IS NOT NULL AND retry_count > 0
), ordered AS (
  SELECT s.format, s.session_key, s.event, s.order_us, s.row_key, s.retry_delay_ms,
         LEAD(s.event) OVER w                                                      AS next_event,
         LEAD(s.order_us) OVER w                                                   AS next_us,
         LAG(CASE WHEN s.event = 'attempt' THEN s.order_us END) OVER w             AS before_us
  FROM steps AS s
  INNER JOIN chosen AS c ON c.format = s.format AND c.session_key = s.session_key
  WHERE s.side = 'client' AND (s.step = 'attempt' OR s.event = 'retry')
  WINDOW w AS (PARTITION BY s.format, s.session_key ORDER BY s.order_us NULLS FIRST, s.row_key)
), waits AS (
  SELECT format, session_key, order_us, row_key, (next_us - order_us) / 1e3 - retry_delay_ms AS late_ms, (next_us - before_us) / 1e3 AS apart_ms
  FROM ordered
  WHERE event = 'retry' AND next_event = 'attempt' AND retry_delay_ms IS NOT NULL
), pairs AS (
  SELECT format, session_key, late_ms, apart_ms,
         LAG(late_ms) OVER (PARTITION BY format, session_key ORDER BY order_us NULLS FIRST, row_key) AS before_late_ms,
         COUNT(*) OVER ()                                                          AS wait_count
  FROM waits
)
SELECT format, session_key, late_ms, before_late_ms, apart_ms, wait_count
FROM pairs
WHERE late_ms >= 1000
ORDER BY format, session_key, apart_ms, late_ms
