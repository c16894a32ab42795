-- exposure: connected seconds of each client session on each kind of network. Read by wslog/diagnosis/carrier.py.
SELECT cluster_key, network_type, COALESCE(network_class, '') AS network_class, SUM(connected_s * sample_weight) AS connected_s
FROM attempts
WHERE {window} AND {where} AND side = 'client' AND connected_s > 0
GROUP BY cluster_key, network_type, COALESCE(network_class, '')
ORDER BY cluster_key, network_type, COALESCE(network_class, '')
