-- fallback by session: client sessions that went over to polling or SSE at least once, and the same by what sent them there
-- the first time (sessions.sql says how it is told); the three parts leave out sessions of which the log cannot tell. One row
-- per group and metric; the cluster is the session itself, or with by_client = 1 the client where one is known.
WITH visited AS (
  SELECT {by_select}side, {cluster_select}sample_weight, COALESCE(fallback_kind, 'none') AS kind_word
  FROM sessions
  WHERE side = 'client' AND {window} AND {where}
), fallen AS (
  SELECT {by}side, {cluster}SUM(sample_weight) AS n, COUNT(*) AS n_rows,
         SUM(CASE WHEN kind_word <> 'none' THEN sample_weight ELSE 0 END) AS any_w, COUNT(CASE WHEN kind_word <> 'none' THEN 1 END) AS any_rows,
         SUM(CASE WHEN kind_word = 'network' THEN sample_weight ELSE 0 END) AS network_w, COUNT(CASE WHEN kind_word = 'network' THEN 1 END) AS network_rows,
         SUM(CASE WHEN kind_word = 'service' THEN sample_weight ELSE 0 END) AS service_w, COUNT(CASE WHEN kind_word = 'service' THEN 1 END) AS service_rows,
         SUM(CASE WHEN kind_word = 'remembered' THEN sample_weight ELSE 0 END) AS remembered_w, COUNT(CASE WHEN kind_word = 'remembered' THEN 1 END) AS remembered_rows,
         SUM(CASE WHEN kind_word = 'unknown' THEN sample_weight ELSE 0 END) AS unknown_w, COUNT(CASE WHEN kind_word = 'unknown' THEN 1 END) AS unknown_rows
  FROM visited
  GROUP BY {cluster}{by}side
), measured AS (
  SELECT {by}side, 'fallback_session_rate' AS metric, any_w AS y, n, 0 AS excluded, any_rows AS y_rows, n_rows
  FROM fallen
  UNION ALL
  SELECT {by}side, 'network_fallback_session_rate' AS metric, network_w AS y, n - unknown_w AS n, unknown_w AS excluded, network_rows AS y_rows, n_rows - unknown_rows AS n_rows
  FROM fallen
  UNION ALL
  SELECT {by}side, 'service_fallback_session_rate' AS metric, service_w AS y, n - unknown_w AS n, unknown_w AS excluded, service_rows AS y_rows, n_rows - unknown_rows AS n_rows
  FROM fallen
  UNION ALL
  SELECT {by}side, 'remembered_fallback_session_rate' AS metric, remembered_w AS y, n - unknown_w AS n, unknown_w AS excluded, remembered_rows AS y_rows, n_rows - unknown_rows AS n_rows
  FROM fallen
)
SELECT {by}side, metric, SUM(y) AS y, SUM(n) AS n, SUM(y * y) AS yy, SUM(y * n) AS yn, SUM(n * n) AS nn,
       SUM(y * y * y) AS yyy, SUM(y * y * n) AS yyn, SUM(y * n * n) AS ynn, SUM(n * n * n) AS nnn, SUM(y * y * y * y) AS yyyy,
       SUM(y * y * y * n) AS yyyn, SUM(y * y * n * n) AS yynn, SUM(y * n * n * n) AS ynnn, SUM(n * n * n * n) AS nnnn,
       COUNT(CASE WHEN n > 0 THEN 1 END) AS cluster_count, CAST(SUM(y_rows) AS BIGINT) AS y_rows, CAST(SUM(n_rows) AS BIGINT) AS n_rows,
       SUM(excluded) AS excluded
FROM measured
GROUP BY {by}side, metric
