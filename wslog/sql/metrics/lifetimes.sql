-- lifetimes: one row per connection that was not open before the log begins, for Kaplan-Meier: how long it was open, and
-- whether it was lost then (dropped, idle_timeout, closed_by_server). Censored, that is open for at least so long: still open,
-- closed on purpose, page left, page asleep (until it fell asleep), or an end that cannot be told from a close on purpose.
WITH picked AS (
  SELECT {by_select}side, attempt_id, outcome, connected_s, sample_weight,
         CASE WHEN {by_client} = 1 THEN COALESCE(client_id, cluster_key) ELSE cluster_key END AS cluster_key
  FROM attempts
  WHERE is_opened AND NOT is_left_censored AND {window} AND {where}
)
SELECT {by}side, GREATEST(connected_s - COALESCE(GREATEST(z.noticed_late_s, z.stood_s, z.silence_s, 0), 0), 0) AS duration_s,
       CASE WHEN outcome IN ('dropped', 'idle_timeout', 'closed_by_server') AND z.attempt_id IS NULL THEN 1 ELSE 0 END AS is_event,
       cluster_key, sample_weight
FROM picked AS p
LEFT JOIN sleeps AS z ON z.attempt_id = p.attempt_id
