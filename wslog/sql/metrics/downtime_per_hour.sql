-- downtime per connected hour: seconds without service of all outages (censored ones with what was seen of them: a lower
-- bound) over hours connected. Left out: connections of unknown length, outages of unknown length.
WITH chosen AS (
  SELECT {by_select}side, cluster_key, sample_weight, 0 AS y, COALESCE(connected_s, 0) / 3.6e3 AS n,
         CASE WHEN connected_s IS NULL THEN 1 ELSE 0 END AS excluded, 0 AS y_rows, CASE WHEN connected_s IS NULL THEN 0 ELSE 1 END AS n_rows
  FROM attempts
  WHERE is_opened AND session_key IS NOT NULL AND {window} AND {where}
  UNION ALL
  SELECT {by_select_episodes}side, cluster_key, sample_weight, COALESCE(downtime_s, 0) AS y, 0 AS n,
         CASE WHEN downtime_s IS NULL THEN 1 ELSE 0 END AS excluded, CASE WHEN downtime_s IS NULL THEN 0 ELSE 1 END AS y_rows, 0 AS n_rows
  FROM episodes
  WHERE {window_episodes} AND {where_episodes}
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
