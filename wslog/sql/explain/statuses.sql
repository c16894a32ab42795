-- statuses: attempts by side and HTTP status (null: none is known), weighted.
SELECT side, http_status, SUM(sample_weight) AS weight
FROM attempts
GROUP BY side, http_status
