-- totals: one row per side of the selection: from when to when there are attempts.
SELECT side, COUNT(*) AS attempt_count, MIN(COALESCE(started_us, opened_us, ended_us)) AS first_us, MAX(COALESCE(ended_us, session_last_us, started_us)) AS last_us
FROM attempts
WHERE {window} AND {where}
GROUP BY side
ORDER BY side
