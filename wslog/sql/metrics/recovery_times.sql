-- recovery times: one row per outage of a client session, for Kaplan-Meier: how long it was observed, and whether the
-- WebSocket came back then. Outages that ended otherwise (fallback, give-up, page left, end of log) are censored there.
SELECT {by_select}side, observed_s AS duration_s, CASE WHEN end_word = 'recovered' THEN 1 ELSE 0 END AS is_event,
       {cluster_select}sample_weight
FROM episodes
WHERE side = 'client' AND {window} AND {where}
