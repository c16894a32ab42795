-- pairs: attempts of both parties (clients on one hand, servers and proxies on the other) whose logs hold the same id, which no
-- other attempt of their party has; and of how many attempts of each. Read by wslog/diagnosis/views.py.
WITH keyed AS (
  SELECT COALESCE(request_id, connection_id) AS link, CASE WHEN side = 'client' THEN row_key END AS client_key,
         CASE WHEN side <> 'client' THEN row_key END AS service_key
  FROM attempts
), totals AS (
  SELECT COUNT(client_key) AS client_count, COUNT(service_key) AS service_count
  FROM keyed
), paired AS (
  SELECT MIN(client_key) AS client_key, MIN(service_key) AS service_key
  FROM keyed
  WHERE link IS NOT NULL
  GROUP BY link
  HAVING COUNT(client_key) = 1 AND COUNT(service_key) = 1
)
SELECT p.client_key, p.service_key, t.client_count, t.service_count
FROM totals AS t
LEFT JOIN paired AS p ON TRUE
ORDER BY p.client_key
