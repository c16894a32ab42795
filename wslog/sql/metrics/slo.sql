-- slo: the sums of one metric over the last hour, six hours, three and seven days of the data and over the period, from one look;
-- one row per group, side and window_code (1 to 4, and 5: the period). The metric is connect_success_rate or, with is_time = 1,
-- downtime_s_per_connected_hour: reliability.sql says what both are. A window that is not asked for begins after the data.
WITH picked AS (
  SELECT {by_select}side, row_key, {cluster_select}sample_weight, COALESCE(started_us, opened_us, ended_us) AS at_us, connected_s,
         is_opened AND session_key IS NOT NULL AS is_open,
         CASE WHEN outcome = 'abandoned' OR is_left_censored OR (NOT is_opened AND NOT is_ended) THEN 0
              WHEN is_opened THEN 2 ELSE 1 END AS result_code
  FROM clustered
  WHERE {window} AND {where}
), awake AS (
  SELECT p.*, GREATEST(p.connected_s - COALESCE(GREATEST(z.noticed_late_s, z.stood_s, z.silence_s, 0), 0), 0) / 3.6e3 AS awake_h
  FROM picked AS p
  LEFT JOIN sleeps AS z ON z.row_key = p.row_key AND {is_time} = 1
), lines AS (
  SELECT {by}side, {cluster}at_us, CASE WHEN {is_time} = 0 AND result_code = 2 THEN sample_weight END AS y,
         CASE WHEN {is_time} = 0 AND result_code > 0 THEN sample_weight
              WHEN {is_time} = 1 AND is_open AND connected_s IS NOT NULL THEN sample_weight * awake_h END AS n,
         CASE WHEN ({is_time} = 0 AND result_code = 0) OR ({is_time} = 1 AND is_open AND connected_s IS NULL) THEN sample_weight END AS excluded
  FROM awake
  UNION ALL
  SELECT {by_select_episodes}side, {cluster_select}started_us AS at_us, sample_weight * downtime_s AS y, CAST(NULL AS DOUBLE) AS n,
         CASE WHEN downtime_s IS NULL THEN sample_weight END AS excluded
  FROM episodes
  WHERE {is_time} = 1 AND {window_episodes} AND {where_episodes}
), banded AS (
  SELECT {by}side, {cluster}CASE WHEN at_us >= {from_1h} THEN 1 WHEN at_us >= {from_6h} THEN 2 WHEN at_us >= {from_3d} THEN 3
                                 WHEN at_us >= {from_7d} THEN 4 ELSE 5 END AS band,
         COALESCE(SUM(y), 0) AS y, COALESCE(SUM(n), 0) AS n, SUM(excluded) AS excluded, COUNT(y) AS y_rows, COUNT(n) AS n_rows
  FROM lines
  GROUP BY {by}side, {cluster}CASE WHEN at_us >= {from_1h} THEN 1 WHEN at_us >= {from_6h} THEN 2 WHEN at_us >= {from_3d} THEN 3
                                 WHEN at_us >= {from_7d} THEN 4 ELSE 5 END
), summed AS (
  SELECT {by}side, {cluster}window_code, SUM(y) AS y, SUM(n) AS n, SUM(excluded) AS excluded, SUM(y_rows) AS y_rows, SUM(n_rows) AS n_rows
  FROM banded
  INNER JOIN (SELECT 1 AS window_code UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5) AS w ON window_code >= band
  GROUP BY {by}side, {cluster}window_code
)
SELECT {by}side, window_code, SUM(y) AS y, SUM(n) AS n, SUM(y * y) AS yy, SUM(y * n) AS yn, SUM(n * n) AS nn,
       SUM(y * y * y) AS yyy, SUM(y * y * n) AS yyn, SUM(y * n * n) AS ynn, SUM(n * n * n) AS nnn, SUM(y * y * y * y) AS yyyy,
       SUM(y * y * y * n) AS yyyn, SUM(y * y * n * n) AS yynn, SUM(y * n * n * n) AS ynnn, SUM(n * n * n * n) AS nnnn,
       COUNT(CASE WHEN n > 0 THEN 1 END) AS cluster_count, CAST(SUM(y_rows) AS BIGINT) AS y_rows, CAST(SUM(n_rows) AS BIGINT) AS n_rows,
       COALESCE(SUM(excluded), 0) AS excluded
FROM summed
GROUP BY {by}side, window_code
HAVING SUM(n_rows) > 0 OR SUM(y_rows) > 0 OR SUM(excluded) > 0
