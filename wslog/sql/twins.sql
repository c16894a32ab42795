-- twins: the sessions whose id more than one format logged (a console and telemetry, client and server): one cluster, named by the
-- least of their numbers. Few, or none: what clusters are for all others is in clustered.sql.
SELECT a.session_number, t.cluster_number
FROM (SELECT session_key, session_number FROM attempts WHERE session_key IS NOT NULL AND session_order = 1) AS a
INNER JOIN (
  SELECT session_key, MIN(session_number) AS cluster_number
  FROM attempts
  WHERE session_key IS NOT NULL AND session_order = 1
  GROUP BY session_key
  HAVING COUNT(*) > 1
) AS t ON t.session_key = a.session_key
