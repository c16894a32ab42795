-- observed: one row per attempt of an outage of a client session, up to the fallback: how long the client waited before it, and
-- after what. The attempt that began the outage (retry_number 0) has no wait. A wait is the time from the end of the attempt
-- before to the begin of this one; start_gap_s runs from the begin of the one before. Read by wslog/policy/observed.py.
WITH picked AS (
  SELECT {by_select}episode_id, episode_key, kind, cluster_key, end_word AS how_it_ended
  FROM episodes
  WHERE side = 'client' AND {window} AND {where}
), chained AS (
  SELECT episode_key, attempt_key, session_order, retry_number, attempt_role, started_us, opened_us, ended_us, network_word,
         LAG(attempt_key) OVER w AS before_key, LAG(attempt_role) OVER w AS before_role, LAG(started_us) OVER w AS before_started_us,
         LAG(ended_us) OVER w AS before_ended_us, LAG(network_word) OVER w AS before_network, LEAD(attempt_key) OVER w AS after_key,
         CAST(SUM(CASE WHEN attempt_role = 'short' THEN 1 ELSE 0 END)
           OVER (PARTITION BY episode_key ORDER BY session_order ROWS UNBOUNDED PRECEDING) AS BIGINT) AS short_count
  FROM outages
  WHERE retry_number IS NOT NULL
  WINDOW w AS (PARTITION BY episode_key ORDER BY session_order)
)
SELECT {by}p.episode_id, p.kind, p.cluster_key, p.how_it_ended, c.retry_number, c.attempt_role, c.before_role,
       c.short_count - CASE WHEN c.attempt_role = 'short' THEN 1 ELSE 0 END                AS short_before_count,
       (c.started_us - c.before_ended_us) / 1e6                                          AS wait_s,
       CASE WHEN c.before_role = 'failed' THEN (c.started_us - c.before_started_us) / 1e6 END AS start_gap_s,
       CASE WHEN c.before_role = 'failed' THEN (c.before_ended_us - c.before_started_us) / 1e6 END AS before_took_s,
       CASE WHEN c.before_role IN ('lost', 'short') THEN b.lived_s END                      AS before_lifetime_s,
       CASE WHEN c.attempt_role = 'failed' THEN (c.ended_us - c.started_us) / 1e6 END       AS took_s,
       a.code, a.answer, a.is_firefox,
       COALESCE(c.network_word <> c.before_network, FALSE)                                  AS is_network_new,
       c.after_key IS NOT NULL                                                              AS is_retried,
       s.row_key IS NOT NULL                                                                AS is_sleep,
       CASE WHEN c.started_us % 1000000 = 0 AND c.before_ended_us % 1000000 = 0 THEN 1000
            WHEN c.started_us % 1000 = 0 AND c.before_ended_us % 1000 = 0 THEN 1 ELSE 0 END AS granularity_ms
FROM picked AS p
INNER JOIN chained AS c ON c.episode_key = p.episode_key
INNER JOIN (
  SELECT row_key, close_code AS code, http_status AS answer, COALESCE(browser = 'Firefox', FALSE) AS is_firefox FROM attempts
) AS a ON a.row_key = c.attempt_key
LEFT JOIN (SELECT row_key, lifetime_s AS lived_s FROM attempts) AS b ON b.row_key = c.before_key
LEFT JOIN (SELECT DISTINCT row_key FROM sleeps) AS s ON s.row_key = c.episode_key
ORDER BY p.episode_id, c.retry_number
