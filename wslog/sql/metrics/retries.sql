-- retries: of the outages of client sessions that made a k-th retry (k = retry_number, the attempt that began the outage is
-- 0), the share where it brought the WebSocket back: opened, and not lost abnormally at once. Left out: a retry that was
-- still under way when the log ends, that the page broke off, or whose open was not watched for long enough.
WITH picked AS (
  SELECT {by_select}episode_key, {cluster_select}sample_weight, end_word = 'left' AS is_left, row_count
  FROM episodes
  WHERE side = 'client' AND {window} AND {where}
), chosen AS (
  SELECT {by}{cluster}p.sample_weight, o.retry_number, CASE WHEN o.role_word = 8 THEN 1 ELSE 0 END AS y,
         -- pending, brief_left, brief_open, and abandoned by a page that was left then
         CASE WHEN o.role_word BETWEEN 5 AND 7 OR (o.role_word = 4 AND p.is_left AND o.retry_number = p.row_count - 1) THEN 0 ELSE 1 END AS n
  FROM picked AS p
  INNER JOIN outage_rows AS o ON o.episode_key = p.episode_key
  WHERE o.retry_number >= 1 AND o.retry_number <= {max_retry}
), summed AS (
  SELECT {by}retry_number, {cluster}SUM(sample_weight * y) AS y, SUM(sample_weight * n) AS n,
         SUM(sample_weight * (1 - n)) AS excluded, SUM(y) AS y_rows, SUM(n) AS n_rows
  FROM chosen
  GROUP BY {cluster}{by}retry_number
)
SELECT {by}retry_number, SUM(y) AS y, SUM(n) AS n, SUM(y * y) AS yy, SUM(y * n) AS yn, SUM(n * n) AS nn,
       SUM(y * y * y) AS yyy, SUM(y * y * n) AS yyn, SUM(y * n * n) AS ynn, SUM(n * n * n) AS nnn, SUM(y * y * y * y) AS yyyy,
       SUM(y * y * y * n) AS yyyn, SUM(y * y * n * n) AS yynn, SUM(y * n * n * n) AS ynnn, SUM(n * n * n * n) AS nnnn,
       COUNT(CASE WHEN n > 0 THEN 1 END) AS cluster_count, CAST(SUM(y_rows) AS BIGINT) AS y_rows, CAST(SUM(n_rows) AS BIGINT) AS n_rows,
       SUM(excluded) AS excluded
FROM summed
GROUP BY {by}retry_number
