-- matrix: of the client attempts that saw one thing, how many were seen as what by the service's log. Left out: attempts whose
-- partner is ambiguous, and those that this log of the service could not show (outside its times, another host, no key).
-- Sums over clusters (sessions) for the interval: see wslog/intervals.py.
WITH chosen AS (
  SELECT {by_select}attempt_id, cluster_key, sample_weight,
         CASE WHEN outcome = 'abandoned' THEN 'left while connecting'
              WHEN NOT is_opened AND http_status >= 300 THEN 'never opened, HTTP ' || CAST(http_status AS STRING)
              WHEN NOT is_opened THEN 'never opened'
              WHEN outcome = 'unloaded' THEN 'page left'
              WHEN close_code IS NOT NULL THEN CAST(close_code AS STRING)
              WHEN NOT is_ended THEN 'end not seen'
              ELSE 'ended without code' END AS client_view
  FROM attempts
  WHERE side = 'client' AND {window} AND {where}
), seen AS (
  SELECT attempt_id,
         CASE WHEN outcome = 'abandoned' THEN 'client left the handshake'
              WHEN NOT is_opened AND http_status IS NOT NULL THEN 'answered HTTP ' || CAST(http_status AS STRING)
              WHEN NOT is_opened THEN 'no answer'
              WHEN close_code IS NOT NULL THEN CAST(close_code AS STRING)
              WHEN outcome = 'idle_timeout' THEN 'idle timeout'
              WHEN NOT is_ended THEN 'end not seen'
              WHEN ended_by = 'client' THEN 'ended by the client'
              WHEN ended_by = 'server' THEN 'ended by the server'
              WHEN ended_by = 'proxy' THEN 'ended by the proxy'
              WHEN ended_by = 'network' THEN 'cut'
              ELSE 'ended, not told by whom' END AS service_view
  FROM attempts
  WHERE side <> 'client'
), told AS (
  -- logs of several proxies in a row may all show one attempt: one of them speaks
  SELECT client_attempt_id, service_side, match_status, unmatched_because, service_attempt_id,
         ROW_NUMBER() OVER (PARTITION BY client_attempt_id, service_side ORDER BY service_attempt_id) AS place
  FROM matches
  WHERE client_attempt_id IS NOT NULL AND service_side IS NOT NULL
), joined AS (
  SELECT {by}t.service_side, c.client_view, c.cluster_key, c.sample_weight,
         CASE WHEN t.match_status = 'matched' THEN s.service_view
              WHEN t.unmatched_because = 'never_reached' THEN 'never reached'
              WHEN t.unmatched_because = 'not_logged' THEN 'not in the log' END AS service_view
  FROM chosen AS c
  INNER JOIN told AS t ON t.client_attempt_id = c.attempt_id AND t.place = 1
  LEFT JOIN seen AS s ON s.attempt_id = t.service_attempt_id
), counted AS (
  SELECT {by}service_side, client_view, service_view, service_view IS NOT NULL AS is_counted, cluster_key,
         SUM(sample_weight) AS w, COUNT(*) AS w_rows
  FROM joined
  GROUP BY {by}service_side, client_view, service_view, cluster_key
), totalled AS (
  SELECT *,
         CASE WHEN is_counted THEN w ELSE 0 END AS y,
         SUM(CASE WHEN is_counted THEN w ELSE 0 END) OVER (PARTITION BY {by}service_side, client_view, cluster_key) AS n,
         ROW_NUMBER() OVER (PARTITION BY {by}service_side, client_view, cluster_key
                            ORDER BY is_counted DESC, service_view NULLS FIRST) AS place
  FROM counted
), summed AS (
  -- each cluster is counted once, in the row of its first view; the totals of the group add those up
  SELECT {by}service_side, client_view, service_view, is_counted, SUM(y) AS y, SUM(y * y) AS yy, SUM(y * n) AS yn,
         SUM(y * y * y) AS yyy, SUM(y * y * n) AS yyn, SUM(y * n * n) AS ynn, SUM(y * y * y * y) AS yyyy,
         SUM(y * y * y * n) AS yyyn, SUM(y * y * n * n) AS yynn, SUM(y * n * n * n) AS ynnn, CAST(SUM(w_rows) AS BIGINT) AS y_rows,
         SUM(CASE WHEN place = 1 THEN n ELSE 0 END) AS n_part, SUM(CASE WHEN place = 1 THEN n * n ELSE 0 END) AS nn_part,
         SUM(CASE WHEN place = 1 THEN n * n * n ELSE 0 END) AS nnn_part,
         SUM(CASE WHEN place = 1 THEN n * n * n * n ELSE 0 END) AS nnnn_part,
         COUNT(CASE WHEN place = 1 AND n > 0 THEN 1 END) AS cluster_part, SUM(CASE WHEN is_counted THEN 0 ELSE w END) AS excluded_part
  FROM totalled
  GROUP BY {by}service_side, client_view, service_view, is_counted
), grouped AS (
  SELECT {by}service_side, client_view, service_view, is_counted, y, yy, yn, yyy, yyn, ynn, yyyy, yyyn, yynn, ynnn, y_rows,
         SUM(n_part) OVER g AS n, SUM(nn_part) OVER g AS nn, SUM(nnn_part) OVER g AS nnn, SUM(nnnn_part) OVER g AS nnnn,
         CAST(SUM(cluster_part) OVER g AS BIGINT) AS cluster_count,
         CAST(SUM(CASE WHEN is_counted THEN y_rows ELSE 0 END) OVER g AS BIGINT) AS n_rows, SUM(excluded_part) OVER g AS excluded
  FROM summed
  WINDOW g AS (PARTITION BY {by}service_side, client_view)
)
SELECT {by}service_side, client_view, service_view, y, n, yy, yn, nn, yyy, yyn, ynn, nnn, yyyy, yyyn, yynn, ynnn, nnnn, cluster_count,
       y_rows, n_rows, excluded
FROM grouped
WHERE is_counted
