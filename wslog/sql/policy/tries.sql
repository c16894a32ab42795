-- tries: one row per connection attempt made during an outage of a client session, those after a fallback too. The loss that
-- began a drop is none; attempts without a result (page left, log ended) say nothing. Times count from the begin of the outage.
-- Read by wslog/policy/evidence.py.
WITH picked AS (
  SELECT episode_id, episode_key, kind, started_us AS outage_us
  FROM episodes
  WHERE side = 'client' AND started_us IS NOT NULL AND {window} AND {where}
)
SELECT p.episode_id, o.session_order, a.is_opened,
       (COALESCE(a.started_us, a.opened_us, a.ended_us) - p.outage_us) / 1e6         AS start_s,
       (COALESCE(CASE WHEN a.is_opened THEN a.opened_us ELSE a.ended_us END, a.started_us) - p.outage_us) / 1e6 AS end_s,
       CASE WHEN a.is_opened THEN 'none'
            WHEN a.error_class = 'timeout' OR a.outcome = 'handshake_timeout' THEN 'timeout'
            WHEN a.http_status >= 200 OR a.error_class IN ('http_status', 'blocked_by_proxy') THEN 'http_status'
            WHEN a.error_class IN ('dns', 'refused', 'reset', 'tls', 'protocol') THEN 'fast'
            WHEN a.ended_us - a.started_us < 1000000 THEN 'fast'
            WHEN a.ended_us - a.started_us >= 4000000 THEN 'timeout'
            ELSE 'unknown' END                                                       AS failure
FROM picked AS p
INNER JOIN outages AS o ON o.episode_key = p.episode_key
INNER JOIN attempts AS a ON a.row_key = o.attempt_key
WHERE NOT (p.kind = 'drop' AND a.row_key = p.episode_key) AND o.attempt_role NOT IN ('abandoned', 'pending')
      AND COALESCE(a.started_us, a.opened_us, a.ended_us) IS NOT NULL
ORDER BY p.episode_id, o.session_order
