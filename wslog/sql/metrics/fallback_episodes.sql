-- fallback by outage: of the outages of client sessions whose end is known, those that ended in polling or SSE.
WITH chosen AS (
  SELECT {by_select}side, {cluster_select}sample_weight, CASE WHEN end_word = 'fell_back' THEN 1 ELSE 0 END AS y,
         CASE WHEN end_word = 'censored' THEN 0 ELSE 1 END AS n, CASE WHEN end_word = 'censored' THEN 1 ELSE 0 END AS excluded,
         CASE WHEN end_word = 'fell_back' THEN 1 ELSE 0 END AS y_rows, CASE WHEN end_word = 'censored' THEN 0 ELSE 1 END AS n_rows
  FROM episodes
  WHERE side = 'client' AND {window} AND {where}
), summed AS (
  SELECT {by}side, {cluster}SUM(sample_weight * y) AS y, SUM(sample_weight * n) AS n, SUM(sample_weight * excluded) AS excluded,
         SUM(y_rows) AS y_rows, SUM(n_rows) AS n_rows
  FROM chosen
  GROUP BY {cluster}{by}side
)
SELECT {by}side, SUM(y) AS y, SUM(n) AS n, SUM(y * y) AS yy, SUM(y * n) AS yn, SUM(n * n) AS nn,
       SUM(y * y * y) AS yyy, SUM(y * y * n) AS yyn, SUM(y * n * n) AS ynn, SUM(n * n * n) AS nnn, SUM(y * y * y * y) AS yyyy,
       SUM(y * y * y * n) AS yyyn, SUM(y * y * n * n) AS yynn, SUM(y * n * n * n) AS ynnn, SUM(n * n * n * n) AS nnnn,
       COUNT(CASE WHEN n > 0 THEN 1 END) AS cluster_count, CAST(SUM(y_rows) AS BIGINT) AS y_rows, CAST(SUM(n_rows) AS BIGINT) AS n_rows,
       SUM(excluded) AS excluded
FROM summed
GROUP BY {by}side
