-- totals: one row per side of the selection: how long connections are usually silent, and from when to when there are attempts.
SELECT side, COUNT(*) AS attempt_count, COUNT(longest_inbound_silence_ms) AS silence_count,
       PERCENTILE_CONT(7.5e-1) WITHIN GROUP (ORDER BY longest_inbound_silence_ms) / 1e3 AS usual_silence_s,
       MIN(COALESCE(started_us, opened_us, ended_us)) AS first_us, MAX(COALESCE(ended_us, session_last_us, started_us)) AS last_us
FROM attempts
WHERE {window} AND {where}
GROUP BY side
ORDER BY side
