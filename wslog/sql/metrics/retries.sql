-- retries: of the outages of client sessions that made a k-th retry (k = retry_number, the attempt that began the outage is
-- 0), the share where it brought the WebSocket back: opened, and not lost abnormally at once. Left out: a retry that was
-- still under way when the log ends, that the page broke off, or whose open was not watched for long enough.
WITH picked AS (
  SELECT {by_select}episode_key, CASE WHEN {by_client} = 1 THEN COALESCE(client_id, cluster_key) ELSE cluster_key END AS cluster_key, sample_weight, end_word AS how_it_ended, attempt_count AS made_count, trigger_outcome AS begun_by
  FROM episodes
  WHERE side = 'client' AND {window} AND {where}
), chosen AS (
  SELECT {by}o.retry_number, p.cluster_key, p.sample_weight,
         CASE WHEN o.attempt_role = 'recovery' THEN 1 ELSE 0 END AS y,
         CASE WHEN o.attempt_role IN ('pending', 'brief_left', 'brief_open') OR (o.attempt_role = 'abandoned' AND p.how_it_ended = 'left' AND o.is_last = 1)
              THEN 0 ELSE 1 END AS n
  FROM picked AS p
  INNER JOIN (
    SELECT episode_key, retry_number, attempt_role,
           CASE WHEN retry_number = MAX(retry_number) OVER (PARTITION BY episode_key) THEN 1 ELSE 0 END AS is_last
    FROM outage_rows
    WHERE retry_number IS NOT NULL
  ) AS o ON o.episode_key = p.episode_key
  WHERE o.retry_number >= 1 AND o.retry_number <= {max_retry}
), clustered AS (
  SELECT {by}retry_number, cluster_key, SUM(sample_weight * y) AS y, SUM(sample_weight * n) AS n,
         SUM(sample_weight * (1 - n)) AS excluded, SUM(y) AS y_rows, SUM(n) AS n_rows
  FROM chosen
  GROUP BY {by}retry_number, cluster_key
)
SELECT {by}retry_number, SUM(y) AS y, SUM(n) AS n, SUM(y * y) AS yy, SUM(y * n) AS yn, SUM(n * n) AS nn,
       SUM(y * y * y) AS yyy, SUM(y * y * n) AS yyn, SUM(y * n * n) AS ynn, SUM(n * n * n) AS nnn, SUM(y * y * y * y) AS yyyy,
       SUM(y * y * y * n) AS yyyn, SUM(y * y * n * n) AS yynn, SUM(y * n * n * n) AS ynnn, SUM(n * n * n * n) AS nnnn,
       COUNT(CASE WHEN n > 0 THEN 1 END) AS cluster_count, CAST(SUM(y_rows) AS BIGINT) AS y_rows, CAST(SUM(n_rows) AS BIGINT) AS n_rows,
       SUM(excluded) AS excluded
FROM clustered
GROUP BY {by}retry_number
