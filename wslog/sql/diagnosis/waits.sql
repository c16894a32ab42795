-- waits: the announced waits after which a client's next attempt began a second or more late, in the sessions of the selection.
--   late_ms         how much later than announced
--   before_late_ms  the same of the session's wait before, the one that led to the attempt before
--   apart_ms        from the begin of that attempt to the begin of the one after the wait
--   wait_count      all announced waits of the selection that an attempt follows
-- Read by wslog/diagnosis/throttled.py.
WITH chosen AS (
  SELECT session_number, MIN(format) AS format, MIN(session_key) AS session_key
  FROM attempts
  WHERE {window} AND {where} AND side = 'client' AND session_key IS NOT NULL AND session_number IS NOT NULL AND retry_count > 0
  GROUP BY session_number
), mixed AS (
  SELECT c.session_number, s.order_us, s.row_key, s.retry_delay_ms, CAST(NULL AS BIGINT) AS started_us
  FROM steps AS s
  INNER JOIN chosen AS c ON c.format = s.format AND c.session_key = s.session_key
  WHERE s.event = 'retry' AND s.side = 'client' AND s.retry_delay_ms IS NOT NULL AND s.order_us IS NOT NULL
  UNION ALL
  SELECT a.session_number, a.started_us AS order_us, a.row_key, CAST(NULL AS DOUBLE) AS retry_delay_ms, a.started_us
  FROM attempts AS a
  INNER JOIN chosen AS c ON c.session_number = a.session_number
  WHERE a.started_us IS NOT NULL
), ordered AS (
  SELECT session_number, order_us, row_key, retry_delay_ms, LEAD(started_us) OVER w AS next_us, LAG(started_us) OVER w AS before_us
  FROM mixed
  WINDOW w AS (PARTITION BY session_number ORDER BY order_us, row_key)
), waits AS (
  SELECT session_number, order_us, row_key, (next_us - order_us) / 1e3 - retry_delay_ms AS late_ms, (next_us - before_us) / 1e3 AS apart_ms
  FROM ordered
  WHERE retry_delay_ms IS NOT NULL AND next_us IS NOT NULL
), pairs AS (
  SELECT session_number, late_ms, apart_ms, LAG(late_ms) OVER (PARTITION BY session_number ORDER BY order_us, row_key) AS before_late_ms
  FROM waits
), counted AS (
  SELECT COUNT(*) AS wait_count
  FROM waits
)
SELECT session_number, late_ms, before_late_ms, apart_ms, wait_count
FROM pairs
CROSS JOIN counted
WHERE late_ms >= 1000
ORDER BY session_number, apart_ms, late_ms
