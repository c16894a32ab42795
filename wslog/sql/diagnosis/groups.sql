-- groups: which group each case (named by its row_key) belongs to, and (row_key null) how many ends of each group the logs cannot tell apart:
-- a proxy's bare line, and attempts that were still waiting for an answer when the log ends.
WITH chosen AS (
  SELECT {by_select}side, row_key, sample_weight,
         CASE WHEN outcome = 'ended_unknown' THEN TRUE
              WHEN outcome = 'never_opened' THEN NOT (is_ended OR has_later OR fallback_count > 0)
              ELSE FALSE END AS is_untold,
         outcome IN ('dropped', 'idle_timeout', 'closed_by_server', 'network_failed', 'rejected', 'handshake_timeout', 'never_opened')
           AS is_case
  FROM attempts
  WHERE {window} AND {where}
)
SELECT {by}side, row_key, CAST(0 AS DOUBLE) AS excluded
FROM chosen
WHERE is_case AND NOT is_untold
UNION ALL
SELECT {by}side, CAST(NULL AS BIGINT) AS row_key, SUM(sample_weight) AS excluded
FROM chosen
WHERE is_untold
GROUP BY {by}side
