-- arrivals: the connection attempts that began around herds (table herd_hours: from since_us on and before until_us, no two of which
-- overlap), with what became of them: the load that a herd brings. The period of the selection does not cut it. Read by
-- wslog/diagnosis/herd_measures.py.
SELECT side, format, url_host, started_us, ended_us, is_opened, lifetime_s, sample_weight
FROM attempts
INNER JOIN herd_hours ON started_us >= since_us AND started_us < until_us
WHERE {where}
ORDER BY started_us, row_key
