-- fallback by session: client sessions that fell back to polling or SSE at least once.
WITH chosen AS (
  SELECT {by_select}side, session_key AS cluster_key, sample_weight, CASE WHEN has_fallback THEN 1 ELSE 0 END AS y, 1 AS n, 0 AS excluded,
         CASE WHEN has_fallback THEN 1 ELSE 0 END AS y_rows, 1 AS n_rows
  FROM sessions
  WHERE side = 'client' AND {window} AND {where}
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
