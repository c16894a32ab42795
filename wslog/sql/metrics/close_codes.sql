-- close codes: of the attempts of a group and side whose end was seen, how many ended with which code (null: none is known)
-- and where the code comes from. Sums over clusters (sessions) for the interval: see wslog/intervals.py.
WITH chosen AS (
  SELECT {by_select}side, {cluster_select}close_code, COALESCE(close_code_source, 'absent') AS close_code_source, is_ended, sample_weight
  FROM clustered
  WHERE {window} AND {where}
), counted AS (
  SELECT {by}side, {cluster}is_ended, close_code, close_code_source, SUM(sample_weight) AS y, COUNT(*) AS y_rows
  FROM chosen
  GROUP BY {by}side, {cluster}is_ended, close_code, close_code_source
), units AS (
  SELECT {by}side, {cluster}SUM(CASE WHEN is_ended THEN y ELSE 0 END) AS n, SUM(CASE WHEN is_ended THEN 0 ELSE y END) AS excluded,
         SUM(CASE WHEN is_ended THEN y_rows ELSE 0 END) AS n_rows
  FROM counted
  GROUP BY {cluster}{by}side
), totals AS (
  SELECT {by}side, SUM(n) AS n, SUM(n * n) AS nn, SUM(n * n * n) AS nnn, SUM(n * n * n * n) AS nnnn,
         COUNT(CASE WHEN n > 0 THEN 1 END) AS cluster_count, CAST(SUM(n_rows) AS BIGINT) AS n_rows, SUM(excluded) AS excluded
  FROM units
  GROUP BY {by}side
), summed AS (
  SELECT {by_of_l}l.side, l.close_code, l.close_code_source, SUM(l.y) AS y, SUM(l.y * l.y) AS yy, SUM(l.y * r.n) AS yn,
         SUM(l.y * l.y * l.y) AS yyy, SUM(l.y * l.y * r.n) AS yyn, SUM(l.y * r.n * r.n) AS ynn, SUM(l.y * l.y * l.y * l.y) AS yyyy,
         SUM(l.y * l.y * l.y * r.n) AS yyyn, SUM(l.y * l.y * r.n * r.n) AS yynn, SUM(l.y * r.n * r.n * r.n) AS ynnn,
         CAST(SUM(l.y_rows) AS BIGINT) AS y_rows
  FROM counted AS l
  INNER JOIN units AS r ON {by_same}l.side = r.side AND l.cluster_number = r.cluster_number
  WHERE l.is_ended
  GROUP BY {by_of_l}l.side, l.close_code, l.close_code_source
)
SELECT {by_of_l}l.side, l.close_code, l.close_code_source, l.y, r.n, l.yy, l.yn, r.nn, l.yyy, l.yyn, l.ynn, r.nnn, l.yyyy, l.yyyn, l.yynn,
       l.ynnn, r.nnnn, r.cluster_count, l.y_rows, r.n_rows, r.excluded
FROM summed AS l
INNER JOIN totals AS r ON {by_same}l.side = r.side
