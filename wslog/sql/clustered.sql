-- clustered: the attempts, each with the cluster that it is counted in: what cluster_key says as text. Grouping by a number costs
-- half of grouping by text that must be put together first.
--   cluster_number  its session; where it has none its client (client_number, above all sessions), else its row (below 0)
SELECT a.*,
       CASE WHEN a.session_key IS NOT NULL THEN COALESCE(t.cluster_number, a.session_number)
            ELSE COALESCE(a.client_number, -a.row_key) END AS cluster_number
FROM attempts AS a
LEFT JOIN twins AS t ON t.session_number = a.session_number
