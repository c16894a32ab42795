-- spans: one row per attempt of a thread: where it begins, and what else happened between the begin of this attempt and the begin
-- of the thread's next one. Read by attempt_rows.sql.
WITH knotted AS (
  SELECT thread_id, connection_key, island,
         MIN(CASE WHEN step_word IS NOT NULL THEN n END)                           AS first_n,
         MIN_BY(row_key, n) FILTER (WHERE step_word IS NOT NULL)                   AS first_row_key,
         -- what was announced before the first step
         MIN_BY(COALESCE(carried_retry, -1), n) FILTER (WHERE step_word IS NOT NULL) AS carried_retry,
         MAX(CASE WHEN step_word IS NOT NULL THEN carried_max END)                 AS max_retries,
         MAX(CASE WHEN step_word IS NOT NULL THEN n * 8 + network_word END) % 8    AS own_network,
         MIN(CASE WHEN step_word IS NOT NULL THEN n * 8 + carried_network END) % 8 AS begin_network,
         MAX(CASE WHEN step_word IS NOT NULL THEN n * 8 + carried_network END) % 8 AS end_network,
         MAX(n * 8 + carried_network) % 8                                          AS last_network,
         MAX(CASE WHEN step_word IS NOT NULL THEN n * 8 + effective_word END) % 8  AS own_effective,
         MIN(CASE WHEN step_word IS NOT NULL THEN n * 8 + carried_effective END) % 8 AS begin_effective,
         MAX(us)                                                                   AS last_us,
         COUNT(CASE WHEN mark_word = 1 THEN 1 END)                                 AS retry_count,
         COUNT(CASE WHEN mark_word = 2 THEN 1 END)                                 AS fallback_count,
         MIN(CASE WHEN mark_word = 2 THEN us END)                                  AS first_fallback_us,
         MAX(CASE WHEN mark_word = 2 THEN us END)                                  AS last_fallback_us,
         -- the first success after a fallback, and the failures before it
         MIN(CASE WHEN mark_word = 3 AND before_service = 2 THEN us END)     AS poll_ok_us,
         MAX(CASE WHEN mark_word = 4 AND before_service = 2 THEN us END)     AS poll_failed_us
  FROM knots
  GROUP BY thread_id, connection_key, island
), loose AS (
  -- of a thread that is not tangled: what is said is said by all its events, or by none
  SELECT p.thread_id, MAX(p.network_word) AS network_word, MAX(p.effective_word) AS effective_word, MAX(p.said_max) AS max_retries,
         MIN(CASE WHEN p.said_max IS NOT NULL THEN p.n END)                        AS max_from_n,
         MAX(CASE WHEN p.moment = 0 THEN p.n * 1000000 + p.said_retry END)         AS early_retry
  FROM places AS p
  LEFT JOIN tangled AS t ON t.thread_id = p.thread_id
  WHERE t.thread_id IS NULL
  GROUP BY p.thread_id
), marks AS (
  SELECT thread_id, moment, MAX(us) AS last_us, COUNT(CASE WHEN mark_word = 1 THEN 1 END) AS retry_count,
         COUNT(CASE WHEN mark_word = 2 THEN 1 END) AS fallback_count, MIN(CASE WHEN mark_word = 2 THEN us END) AS first_fallback_us,
         MAX(CASE WHEN mark_word = 2 THEN us END) AS last_fallback_us, MAX(n * 1000000 + said_retry) AS latest_retry
  FROM places
  WHERE step_word IS NULL AND moment > 0
  GROUP BY thread_id, moment
), stranded AS (
  SELECT s.thread_id, s.connection_key, s.island, MIN(s.n) AS first_n, MIN(s.moment) AS first_moment, MAX(s.n) AS last_n,
         MAX(COALESCE(GREATEST(s.us, m.last_us), s.us, m.last_us))                 AS last_us,
         COALESCE(CAST(SUM(m.retry_count) AS BIGINT), 0)                           AS retry_count,
         COALESCE(CAST(SUM(m.fallback_count) AS BIGINT), 0)                        AS fallback_count,
         MIN(m.first_fallback_us) AS first_fallback_us, MAX(m.last_fallback_us) AS last_fallback_us,
         MAX(m.latest_retry) AS latest_retry, MIN_BY(s.row_key, s.n) AS first_row_key
  FROM strands AS s
  LEFT JOIN marks AS m ON m.thread_id = s.thread_id AND m.moment = s.moment
  GROUP BY s.thread_id, s.connection_key, s.island
), retried AS (
  -- nothing overlaps: what was announced since the begin of the attempt before is among that one's events
  SELECT *, LAG(latest_retry) OVER (PARTITION BY thread_id ORDER BY first_n) AS before_retry
  FROM stranded
), spans AS (
  SELECT thread_id, connection_key, island, first_n, first_row_key, carried_retry, max_retries, own_network, begin_network,
         end_network, last_network, own_effective, begin_effective, last_us, retry_count, fallback_count, first_fallback_us,
         last_fallback_us, poll_ok_us, poll_failed_us
  FROM knotted
  WHERE first_n IS NOT NULL
  UNION ALL
  SELECT r.thread_id, r.connection_key, r.island, r.first_n, r.first_row_key,
         COALESCE(CASE WHEN r.first_moment = 1 THEN l.early_retry ELSE r.before_retry END, -1) AS carried_retry,
         CASE WHEN r.last_n >= l.max_from_n THEN l.max_retries END AS max_retries, l.network_word AS own_network,
         l.network_word AS begin_network, l.network_word AS end_network, l.network_word AS last_network,
         l.effective_word AS own_effective, l.effective_word AS begin_effective, r.last_us, r.retry_count, r.fallback_count,
         r.first_fallback_us, r.last_fallback_us, CAST(NULL AS BIGINT) AS poll_ok_us, CAST(NULL AS BIGINT) AS poll_failed_us
  FROM retried AS r
  INNER JOIN loose AS l ON l.thread_id = r.thread_id
)
-- spans without a step, which hold what came before the first attempt of the session, are left out
SELECT *,
       ROW_NUMBER() OVER w                                                         AS session_order,
       LAG(first_n) OVER w                                                         AS previous_first_n,
       LEAD(first_n) OVER w IS NOT NULL                                            AS has_later,
       MAX(last_us) OVER (PARTITION BY thread_id)                                  AS session_last_us
FROM spans
WINDOW w AS (PARTITION BY thread_id ORDER BY first_n)
