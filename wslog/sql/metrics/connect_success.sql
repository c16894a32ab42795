-- connect success: of the attempts whose begin and result were seen, those that opened. Left out: attempts the page broke
-- off, attempts without a seen result, and connections that were open before the log begins.
WITH judged AS (
  SELECT {by_select}side, cluster_key, sample_weight, is_opened,
         outcome = 'abandoned' OR is_left_censored OR (NOT is_opened AND NOT is_ended) AS is_excluded
  FROM attempts
  WHERE {window} AND {where}
), chosen AS (
  SELECT {by}side, cluster_key, sample_weight, CASE WHEN is_opened AND NOT is_excluded THEN 1 ELSE 0 END AS y,
         CASE WHEN is_excluded THEN 0 ELSE 1 END AS n, CASE WHEN is_excluded THEN 1 ELSE 0 END AS excluded,
         CASE WHEN is_opened AND NOT is_excluded THEN 1 ELSE 0 END AS y_rows, CASE WHEN is_excluded THEN 0 ELSE 1 END AS n_rows
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
