-- reliability: the sums of every rate of a week from one look at attempts and episodes; one row per group, side and metric.
-- Sums are over clusters (see wslog/intervals.py): sessions, or with by_client = 1 the client where one is known.
--   connect_success_rate           attempts that opened, of those whose begin and result were seen. Left out: attempts the
--                                  page broke off, attempts without a seen result, connections open before the log begins
--   drops_per_connected_hour       connections lost (dropped, idle_timeout, closed_by_server) over hours connected; one still
--                                  open counts its hours up to the last event of its session. Left out: connections of
--                                  unknown length, those whose end cannot be told from a close on purpose (a proxy's line
--                                  without more), and losses while the page slept, whose hours count until it fell asleep
--   downtime_s_per_connected_hour  seconds without service of all outages (censored ones with what was seen of them: a lower
--                                  bound) over hours connected. Left out: connections and outages of unknown length
WITH picked AS (
  SELECT {by_select}side, attempt_id, CASE WHEN {by_client} = 1 THEN COALESCE(client_id, cluster_key) ELSE cluster_key END AS unit_key,
         session_key IS NOT NULL AS has_session, sample_weight, is_opened, is_ended, outcome, connected_s,
         outcome = 'abandoned' OR is_left_censored OR (NOT is_opened AND NOT is_ended) AS is_unjudged
  FROM attempts
  WHERE {window} AND {where}
), awake AS (
  SELECT p.*, z.attempt_id IS NOT NULL AS is_slept,
         GREATEST(p.connected_s - COALESCE(GREATEST(z.noticed_late_s, z.stood_s, z.silence_s, 0), 0), 0) / 3.6e3 AS awake_h
  FROM picked AS p
  LEFT JOIN sleeps AS z ON z.attempt_id = p.attempt_id
), judged AS (
  SELECT *,
         CASE WHEN is_opened AND NOT is_unjudged THEN 1 ELSE 0 END                 AS is_success,
         CASE WHEN is_unjudged THEN 0 ELSE 1 END                                   AS is_judged,
         CASE WHEN is_opened AND NOT is_slept AND connected_s IS NOT NULL
                   AND outcome IN ('dropped', 'idle_timeout', 'closed_by_server') THEN 1 ELSE 0 END AS is_drop,
         CASE WHEN is_opened AND connected_s IS NOT NULL AND outcome <> 'ended_unknown' AND (is_ended OR connected_s > 0)
              THEN 1 ELSE 0 END                                                    AS is_watched,
         CASE WHEN is_opened AND (is_slept OR connected_s IS NULL OR outcome = 'ended_unknown' OR (NOT is_ended AND connected_s <= 0))
              THEN 1 ELSE 0 END                                                    AS is_unwatched,
         CASE WHEN is_opened AND has_session AND connected_s IS NOT NULL THEN 1 ELSE 0 END AS is_timed,
         CASE WHEN is_opened AND has_session AND connected_s IS NULL THEN 1 ELSE 0 END     AS is_untimed
  FROM awake
), tried AS (
  SELECT {by}side, unit_key,
         SUM(sample_weight * is_success) AS success_w, SUM(sample_weight * is_judged) AS judged_w,
         SUM(sample_weight * (1 - is_judged)) AS unjudged_w, SUM(is_success) AS success_rows, SUM(is_judged) AS judged_rows,
         SUM(sample_weight * is_drop) AS drop_w, SUM(CASE WHEN is_watched = 1 THEN sample_weight * awake_h ELSE 0 END) AS watched_h,
         SUM(sample_weight * is_unwatched) AS unwatched_w, SUM(is_drop) AS drop_rows, SUM(is_watched) AS watched_rows,
         SUM(CASE WHEN is_timed = 1 THEN sample_weight * awake_h ELSE 0 END) AS timed_h,
         SUM(sample_weight * is_untimed) AS untimed_w, SUM(is_timed) AS timed_rows
  FROM judged
  GROUP BY {by}side, unit_key
), broken AS (
  SELECT {by_select_episodes}side, CASE WHEN {by_client} = 1 THEN COALESCE(client_id, cluster_key) ELSE cluster_key END AS unit_key,
         sample_weight, downtime_s
  FROM episodes
  WHERE {window_episodes} AND {where_episodes}
), down AS (
  SELECT {by}side, unit_key, SUM(sample_weight * COALESCE(downtime_s, 0)) AS y, 0 AS n,
         SUM(CASE WHEN downtime_s IS NULL THEN sample_weight ELSE 0 END) AS excluded, COUNT(downtime_s) AS y_rows, 0 AS n_rows
  FROM broken
  GROUP BY {by}side, unit_key
  UNION ALL
  SELECT {by}side, unit_key, 0 AS y, timed_h AS n, untimed_w AS excluded, 0 AS y_rows, timed_rows AS n_rows
  FROM tried
), measured AS (
  SELECT {by}side, 'connect_success_rate' AS metric, success_w AS y, judged_w AS n, unjudged_w AS excluded, success_rows AS y_rows, judged_rows AS n_rows
  FROM tried
  UNION ALL
  SELECT {by}side, 'drops_per_connected_hour' AS metric, drop_w AS y, watched_h AS n, unwatched_w AS excluded, drop_rows AS y_rows, watched_rows AS n_rows
  FROM tried
  WHERE watched_rows > 0 OR unwatched_w > 0
  UNION ALL
  SELECT {by}side, 'downtime_s_per_connected_hour' AS metric, SUM(y) AS y, SUM(n) AS n, SUM(excluded) AS excluded, SUM(y_rows) AS y_rows, SUM(n_rows) AS n_rows
  FROM down
  GROUP BY {by}side, unit_key
  HAVING SUM(y_rows) > 0 OR SUM(n_rows) > 0 OR SUM(excluded) > 0
)
SELECT {by}side, metric, SUM(y) AS y, SUM(n) AS n, SUM(y * y) AS yy, SUM(y * n) AS yn, SUM(n * n) AS nn,
       SUM(y * y * y) AS yyy, SUM(y * y * n) AS yyn, SUM(y * n * n) AS ynn, SUM(n * n * n) AS nnn, SUM(y * y * y * y) AS yyyy,
       SUM(y * y * y * n) AS yyyn, SUM(y * y * n * n) AS yynn, SUM(y * n * n * n) AS ynnn, SUM(n * n * n * n) AS nnnn,
       COUNT(CASE WHEN n > 0 THEN 1 END) AS cluster_count, CAST(SUM(y_rows) AS BIGINT) AS y_rows, CAST(SUM(n_rows) AS BIGINT) AS n_rows,
       SUM(excluded) AS excluded
FROM measured
GROUP BY {by}side, metric
