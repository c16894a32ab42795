-- days: on which days there was data, by side; the first and the last instant of each.
SELECT {by_select}side, CAST(COUNT(*) AS BIGINT) AS attempt_count,
       MIN(COALESCE(started_us, opened_us, ended_us)) AS first_us, MAX(COALESCE(started_us, opened_us, ended_us)) AS last_us
FROM attempts
WHERE {window} AND {where} AND COALESCE(started_us, opened_us, ended_us) IS NOT NULL
GROUP BY {by}side
