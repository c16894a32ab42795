-- counts: the attempts of a period, by side, by how they were matched with the other party's logs, and if not, why.
-- service_side says with which logs of the service; a client attempt stands once for each side of the service that has logs.
WITH chosen AS (
  SELECT attempt_id, side, sample_weight
  FROM attempts
  WHERE {window} AND {where}
), told AS (
  SELECT client_attempt_id AS attempt_id, service_side, match_status, matched_by, unmatched_because
  FROM matches
  WHERE client_attempt_id IS NOT NULL
  UNION
  SELECT service_attempt_id, service_side, match_status, matched_by, unmatched_because
  FROM matches
  WHERE service_attempt_id IS NOT NULL
)
SELECT c.side, t.service_side, t.match_status, t.matched_by, t.unmatched_because, COUNT(*) AS attempt_count,
       SUM(c.sample_weight) AS weighted_count
FROM chosen AS c
INNER JOIN told AS t ON t.attempt_id = c.attempt_id
GROUP BY c.side, t.service_side, t.match_status, t.matched_by, t.unmatched_because
ORDER BY c.side, t.service_side, t.match_status, t.matched_by, t.unmatched_because
