-- totals: one row per side, format and host of the selection: what its attempts tell of themselves, from when to when there
-- are attempts, and in how many hours (a client whose clock is years off makes the span long, not the hours).
SELECT side, format, url_host, COUNT(*) AS attempt_count, COUNT(longest_inbound_silence_ms) AS silence_count, COUNT(session_key) AS session_count,
       COUNT(CASE WHEN network_type <> 'unknown' OR network_class <> 'unknown' THEN 1 END) AS network_count, MIN(COALESCE(started_us, opened_us, ended_us)) AS first_us, MAX(COALESCE(ended_us, session_last_us, started_us)) AS last_us,
       COUNT(DISTINCT COALESCE(started_us, opened_us, ended_us) - COALESCE(started_us, opened_us, ended_us) % 3600000000) AS hour_count
FROM attempts
WHERE {window} AND {where}
GROUP BY side, format, url_host
ORDER BY side, format, url_host
