-- outages: outage_rows.sql with the ids of the outage and of its attempts: episode_id is the attempt_id of the attempt that began it.
SELECT e.source_id || ':' || {episode_line} AS episode_id, a.source_id || ':' || {attempt_line} AS attempt_id, o.*
FROM outage_rows AS o
INNER JOIN origins AS e ON e.source_rank = CAST((o.episode_key - o.episode_key % 10000000000000) / 1e13 AS BIGINT)
INNER JOIN origins AS a ON a.source_rank = CAST((o.attempt_key - o.attempt_key % 10000000000000) / 1e13 AS BIGINT)
