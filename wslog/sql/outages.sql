-- outages: outage_rows.sql with the ids of the outage and of its attempts, its words, and the times of the attempts: episode_id
-- is the attempt_id of the attempt that began it.
SELECT e.source_id || ':' || {episode_line} AS episode_id, a.attempt_id, o.episode_key, o.attempt_key, o.session_order, o.retry_number,
       CASE o.role_word WHEN 1 THEN 'lost' WHEN 2 THEN 'short' WHEN 3 THEN 'failed' WHEN 4 THEN 'abandoned' WHEN 5 THEN 'pending'
                        WHEN 6 THEN 'brief_left' WHEN 7 THEN 'brief_open' WHEN 8 THEN 'recovery' ELSE 'after_fallback' END AS attempt_role,
       a.started_us, a.opened_us, a.ended_us, a.network_word
FROM outage_rows AS o
INNER JOIN attempts AS a ON a.row_key = o.attempt_key
INNER JOIN origins AS e ON e.source_rank = CAST((o.episode_key - o.episode_key % 10000000000000) / 1e13 AS BIGINT)
