-- matched: the pairs of the table matches, by row_key; of a client attempt that is in the logs of a proxy and of a server, one.
-- Read by wslog/diagnosis/views.py.
SELECT c.row_key AS client_key, MIN(s.row_key) AS service_key
FROM matches AS m
INNER JOIN attempts AS c ON c.attempt_id = m.client_attempt_id
INNER JOIN attempts AS s ON s.attempt_id = m.service_attempt_id
WHERE m.match_status = 'matched'
GROUP BY c.row_key
ORDER BY c.row_key
