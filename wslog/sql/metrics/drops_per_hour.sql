-- drops per connected hour: connections lost (dropped, idle_timeout, closed_by_server) over hours connected; a connection
-- still open counts its hours up to the last event of its session. Left out: connections of unknown length (no later event
-- of the session either), and those whose end cannot be told from a close on purpose (a proxy's line without more).
WITH judged AS (
  SELECT {by_select}side, cluster_key, sample_weight, connected_s,
         outcome IN ('dropped', 'idle_timeout', 'closed_by_server') AS is_drop,
         connected_s IS NULL OR outcome = 'ended_unknown' OR (NOT is_ended AND connected_s <= 0) AS is_excluded
  FROM attempts
  WHERE is_opened AND {window} AND {where}
), chosen AS (
  SELECT {by}side, cluster_key, sample_weight, CASE WHEN is_drop AND NOT is_excluded THEN 1 ELSE 0 END AS y,
         CASE WHEN is_excluded THEN 0 ELSE connected_s / 3.6e3 END AS n, CASE WHEN is_excluded THEN 1 ELSE 0 END AS excluded,
         CASE WHEN is_drop AND NOT is_excluded THEN 1 ELSE 0 END AS y_rows, CASE WHEN is_excluded THEN 0 ELSE 1 END AS n_rows
  FROM judged
), clustered AS (
  SELECT {by}side, cluster_key, SUM(sample_weight * y) AS y, SUM(sample_weight * n) AS n, SUM(sample_weight * excluded) AS excluded,
         SUM(y_rows) AS y_rows, SUM(n_rows) AS n_rows
  FROM chosen
  GROUP BY {by}side, cluster_key
)
SELECT {by}side, SUM(y) AS y, SUM(n) AS n, SUM(y * y) AS yy, SUM(y * n) AS yn, SUM(n * n) AS nn,
       COUNT(CASE WHEN n > 0 THEN 1 END) AS cluster_count, CAST(SUM(y_rows) AS BIGINT) AS y_rows, CAST(SUM(n_rows) AS BIGINT) AS n_rows,
       SUM(excluded) AS excluded
FROM clustered
GROUP BY {by}side
