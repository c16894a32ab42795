-- downtimes: one row per outage, for Kaplan-Meier: how long there was no service (until the WebSocket or the first
-- successful poll), and whether its end was seen.
SELECT {by_select}side, downtime_s AS duration_s, CASE WHEN is_right_censored THEN 0 ELSE 1 END AS is_event, {cluster_select}sample_weight
FROM episodes
WHERE {window} AND {where}
