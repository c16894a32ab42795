-- lifetimes: one row per connection that was not open before the log begins, for Kaplan-Meier: how long it was open, and
-- whether it was lost then (dropped, idle_timeout, closed_by_server). Censored, that is open for at least so long: still open,
-- closed on purpose, page left, page asleep (until it fell asleep), or an end that cannot be told from a close on purpose.
WITH picked AS (
  SELECT {by_select}side, row_key, outcome IN ('dropped', 'idle_timeout', 'closed_by_server') AS is_lost, connected_s, {cluster_select}sample_weight
  FROM clustered
  WHERE is_opened AND NOT is_left_censored AND {window} AND {where}
)
SELECT {by}side,
       CASE WHEN connected_s IS NOT NULL
            THEN GREATEST(connected_s - COALESCE(GREATEST(z.noticed_late_s, z.stood_s, z.silence_s, 0), 0), 0) END AS duration_s,
       CASE WHEN is_lost AND z.row_key IS NULL THEN 1 ELSE 0 END AS is_event, {cluster}sample_weight
FROM picked AS p
LEFT JOIN sleeps AS z ON z.row_key = p.row_key
