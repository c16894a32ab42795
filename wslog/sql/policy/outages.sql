-- outages: one row per outage of a client session, for the estimate of when outages end. Times count from its begin, in
-- seconds. Read by wslog/policy/evidence.py.
SELECT {by_select}e.episode_id, e.kind, e.cluster_key, e.sample_weight,
       CASE WHEN e.started_us IS NULL THEN 'untimed'
            WHEN e.herd_id IS NOT NULL THEN 'herd'
            WHEN e.is_flapping THEN 'flapping'
            WHEN s.row_key IS NOT NULL THEN 'sleep' END                          AS excluded_as,
       e.end_word = 'left' AS is_left, e.observed_s AS watched_s,
       (unix_micros(e.fell_back_at) - e.started_us) / 1e6                            AS fell_back_s,
       (unix_micros(e.last_poll_failed_at) - e.started_us) / 1e6                     AS poll_failed_s,
       (unix_micros(e.first_poll_ok_at) - e.started_us) / 1e6                        AS poll_ok_s
FROM episodes AS e
LEFT JOIN (SELECT DISTINCT row_key FROM sleeps) AS s ON s.row_key = e.episode_key
WHERE side = 'client' AND {window} AND {where}
ORDER BY e.episode_id
