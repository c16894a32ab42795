-- opens: minutes in which connects of the clients opened, by client format and host, with the first and the last of them by the
-- time they began. Read by wslog/diagnosis/expired.py.
SELECT side, format, url_host, started_us - started_us % 60000000 AS minute_us, MIN(started_us) AS first_us, MAX(started_us) AS last_us
FROM attempts
WHERE {window} AND {where} AND side = 'client' AND is_opened AND started_us IS NOT NULL
GROUP BY side, format, url_host, started_us - started_us % 60000000
ORDER BY side, format, url_host, minute_us
