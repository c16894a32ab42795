-- sessions: one row per client session of the selection that tried to connect: did WebSocket ever open, did polling work.
-- Read by wslog/diagnosis/blocked.py and carrier.py.
WITH polls AS (
  SELECT format, session_key, COUNT(CASE WHEN error_class IS NULL THEN 1 END) AS poll_ok_count,
         COUNT(error_class) AS poll_failed_count
  FROM steps
  WHERE event = 'poll' AND side = 'client' AND session_key IS NOT NULL
  GROUP BY format, session_key
), chosen AS (
  SELECT *
  FROM attempts
  WHERE {window} AND {where} AND side = 'client' AND session_key IS NOT NULL
), tried AS (
  SELECT format, session_key, MIN(cluster_key) AS cluster_key, MAX(sample_weight) AS sample_weight,
         COUNT(CASE WHEN is_opened THEN 1 END) AS opened_count,
         COUNT(CASE WHEN NOT is_opened AND outcome <> 'abandoned' AND is_ended THEN 1 END) AS failed_count,
         MIN_BY(network_type, session_order) AS network_type, MIN_BY(network_class, session_order) AS network_class,
         MIN_BY(as_org, session_order) AS as_org, MIN_BY(asn, session_order) AS asn,
         MIN_BY(client_prefix, session_order) AS client_prefix, SUM(connected_s) AS connected_s
  FROM chosen
  GROUP BY format, session_key
)
SELECT t.*, COALESCE(p.poll_ok_count, 0) AS poll_ok_count, COALESCE(p.poll_failed_count, 0) AS poll_failed_count
FROM tried AS t
LEFT JOIN polls AS p ON p.format = t.format AND p.session_key = t.session_key
ORDER BY t.format, t.session_key
