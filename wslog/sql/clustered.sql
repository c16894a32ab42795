-- clustered: the attempts, each with the cluster that it is counted in: what cluster_key says as text. Grouping by two numbers and a
-- mostly empty text costs a third of grouping by text that must be put together first.
--   cluster_number  its session; 0 where it has none but a client; else its row, below 0
--   cluster_client  the client of an attempt without a session
SELECT a.*,
       CASE WHEN a.session_key IS NOT NULL THEN COALESCE(t.cluster_number, a.session_number)
            WHEN a.client_id IS NOT NULL THEN 0 ELSE -a.row_key END AS cluster_number,
       CASE WHEN a.session_key IS NULL THEN a.client_id END AS cluster_client
FROM attempts AS a
LEFT JOIN twins AS t ON t.session_number = a.session_number
