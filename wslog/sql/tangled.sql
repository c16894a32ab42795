-- tangled: the threads whose attempts need every event looked at in order (knots.sql); of all others a few sums tell the same
-- (strands.sql, spans.sql). Tangled is a thread whose network or latency class changes or is said now and then, whose limit of
-- retries changes, that polls after a fallback, where only some steps name a connection, or whose connections overlap.
WITH overlapping AS (
  SELECT thread_id
  FROM places
  WHERE own_connection IS NOT NULL
  GROUP BY thread_id, own_connection
  HAVING MAX(moment) - MIN(moment) + 1 > COUNT(*)
)
SELECT thread_id
FROM places
GROUP BY thread_id
HAVING (COUNT(network_word) > 0 AND (COUNT(network_word) < COUNT(*) OR MIN(network_word) < MAX(network_word)))
    OR (COUNT(effective_word) > 0 AND (COUNT(effective_word) < COUNT(*) OR MIN(effective_word) < MAX(effective_word)))
    OR MIN(said_max) < MAX(said_max)
    OR (COUNT(CASE WHEN mark_word = 2 THEN 1 END) > 0 AND COUNT(CASE WHEN mark_word > 2 THEN 1 END) > 0)
    OR (COUNT(own_connection) > 0 AND COUNT(own_connection) < COUNT(step_word))
UNION
SELECT thread_id
FROM overlapping
