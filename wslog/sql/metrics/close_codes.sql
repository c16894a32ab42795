-- close codes: of the attempts of a group and side whose end was seen, how many ended with which code (null: none is known)
-- and where the code comes from. Sums over clusters (sessions) for the interval: see wslog/intervals.py.
WITH chosen AS (
  SELECT {by_select}side, close_code, COALESCE(close_code_source, 'absent') AS close_code_source, is_ended,
         CASE WHEN {by_client} = 1 THEN COALESCE(client_id, cluster_key) ELSE cluster_key END AS cluster_key, sample_weight
  FROM attempts
  WHERE {window} AND {where}
), counted AS (
  SELECT {by}side, is_ended, close_code, close_code_source, cluster_key, SUM(sample_weight) AS w, COUNT(*) AS w_rows
  FROM chosen
  GROUP BY {by}side, is_ended, close_code, close_code_source, cluster_key
), totalled AS (
  SELECT *,
         CASE WHEN is_ended THEN w ELSE 0 END AS y,
         SUM(CASE WHEN is_ended THEN w ELSE 0 END) OVER (PARTITION BY {by}side, cluster_key) AS n,
         ROW_NUMBER() OVER (PARTITION BY {by}side, cluster_key
                            ORDER BY is_ended DESC, close_code NULLS FIRST, close_code_source) AS place
  FROM counted
), summed AS (
  -- each cluster is counted once, in the row of its first code; the totals of the group add those up
  SELECT {by}side, is_ended, close_code, close_code_source, SUM(y) AS y, SUM(y * y) AS yy, SUM(y * n) AS yn,
         SUM(y * y * y) AS yyy, SUM(y * y * n) AS yyn, SUM(y * n * n) AS ynn, SUM(y * y * y * y) AS yyyy,
         SUM(y * y * y * n) AS yyyn, SUM(y * y * n * n) AS yynn, SUM(y * n * n * n) AS ynnn,
         CAST(SUM(w_rows) AS BIGINT) AS y_rows,
         SUM(CASE WHEN place = 1 THEN n ELSE 0 END) AS n_part, SUM(CASE WHEN place = 1 THEN n * n ELSE 0 END) AS nn_part,
         SUM(CASE WHEN place = 1 THEN n * n * n ELSE 0 END) AS nnn_part, SUM(CASE WHEN place = 1 THEN n * n * n * n ELSE 0 END) AS nnnn_part,
         COUNT(CASE WHEN place = 1 AND n > 0 THEN 1 END) AS cluster_part,
         SUM(CASE WHEN is_ended THEN 0 ELSE w END) AS excluded_part
  FROM totalled
  GROUP BY {by}side, is_ended, close_code, close_code_source
), grouped AS (
  SELECT {by}side, is_ended, close_code, close_code_source, y, yy, yn, yyy, yyn, ynn, yyyy, yyyn, yynn, ynnn, y_rows,
         SUM(n_part) OVER g AS n, SUM(nn_part) OVER g AS nn, SUM(nnn_part) OVER g AS nnn, SUM(nnnn_part) OVER g AS nnnn, CAST(SUM(cluster_part) OVER g AS BIGINT) AS cluster_count,
         CAST(SUM(CASE WHEN is_ended THEN y_rows ELSE 0 END) OVER g AS BIGINT) AS n_rows, SUM(excluded_part) OVER g AS excluded
  FROM summed
  WINDOW g AS (PARTITION BY {by}side)
)
SELECT {by}side, close_code, close_code_source, y, n, yy, yn, nn, yyy, yyn, ynn, nnn, yyyy, yyyn, yynn, ynnn, nnnn, cluster_count, y_rows, n_rows, excluded
FROM grouped
WHERE is_ended
