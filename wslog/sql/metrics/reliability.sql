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
  SELECT {by_select}side, row_key, {cluster_select}session_key IS NOT NULL AS has_session, sample_weight, is_opened, is_ended, connected_s,
         outcome IN ('dropped', 'idle_timeout', 'closed_by_server') AS is_lost, outcome = 'ended_unknown' AS is_unclear,
         outcome = 'abandoned' OR is_left_censored OR (NOT is_opened AND NOT is_ended) AS is_unjudged
  FROM clustered
  WHERE {window} AND {where}
), awake AS (
  SELECT p.*, z.row_key IS NOT NULL AS is_slept,
         GREATEST(p.connected_s - COALESCE(GREATEST(z.noticed_late_s, z.stood_s, z.silence_s, 0), 0), 0) / 3.6e3 AS awake_h
  FROM picked AS p
  LEFT JOIN sleeps AS z ON z.row_key = p.row_key
), judged AS (
  SELECT *, is_opened AND NOT is_unjudged AS is_success,
         is_opened AND NOT is_slept AND connected_s IS NOT NULL AND is_lost        AS is_drop,
         is_opened AND connected_s IS NOT NULL AND NOT is_unclear AND (is_ended OR connected_s > 0) AS is_watched,
         is_opened AND (is_slept OR connected_s IS NULL OR is_unclear OR (NOT is_ended AND connected_s <= 0)) AS is_unwatched,
         is_opened AND has_session AND connected_s IS NOT NULL                     AS is_timed,
         is_opened AND has_session AND connected_s IS NULL                         AS is_untimed
  FROM awake
), lines AS (
  -- attempts and outages below one another, so that each cluster is put together once
  SELECT {by}side, {cluster}is_success, NOT is_unjudged AS is_judged, is_unjudged, is_drop, is_watched, is_unwatched, is_timed, is_untimed,
         sample_weight, awake_h * sample_weight AS hours, CAST(NULL AS DOUBLE) AS down_s, FALSE AS is_outage
  FROM judged
  UNION ALL
  SELECT {by_select_episodes}side, {cluster_select}FALSE AS is_success, FALSE AS is_judged, FALSE AS is_unjudged, FALSE AS is_drop, FALSE AS is_watched,
         FALSE AS is_unwatched, FALSE AS is_timed, FALSE AS is_untimed, sample_weight, CAST(NULL AS DOUBLE) AS hours,
         downtime_s * sample_weight AS down_s, TRUE AS is_outage
  FROM episodes
  WHERE {window_episodes} AND {where_episodes}
), tried AS (
  SELECT {by}side, {cluster}SUM(CASE WHEN is_success THEN sample_weight END) AS success_w, SUM(CASE WHEN is_judged THEN sample_weight END) AS judged_w,
         SUM(CASE WHEN is_unjudged THEN sample_weight END) AS unjudged_w, COUNT(CASE WHEN is_success THEN 1 END) AS success_rows,
         COUNT(CASE WHEN is_judged THEN 1 END) AS judged_rows,
         SUM(CASE WHEN is_drop THEN sample_weight END) AS drop_w, SUM(CASE WHEN is_watched THEN hours END) AS watched_h,
         SUM(CASE WHEN is_unwatched THEN sample_weight END) AS unwatched_w, COUNT(CASE WHEN is_drop THEN 1 END) AS drop_rows,
         COUNT(CASE WHEN is_watched THEN 1 END) AS watched_rows,
         SUM(down_s) AS down_s, SUM(CASE WHEN is_timed THEN hours END) AS timed_h,
         SUM(CASE WHEN is_untimed OR (is_outage AND down_s IS NULL) THEN sample_weight END) AS untimed_w, COUNT(down_s) AS down_rows,
         COUNT(CASE WHEN is_timed THEN 1 END) AS timed_rows
  FROM lines
  GROUP BY {cluster}{by}side
), measured AS (
  SELECT {by}side, 'connect_success_rate' AS metric, COALESCE(success_w, 0) AS y, COALESCE(judged_w, 0) AS n, unjudged_w AS excluded,
         success_rows AS y_rows, judged_rows AS n_rows
  FROM tried
  UNION ALL
  SELECT {by}side, 'drops_per_connected_hour' AS metric, COALESCE(drop_w, 0) AS y, COALESCE(watched_h, 0) AS n, unwatched_w AS excluded,
         drop_rows AS y_rows, watched_rows AS n_rows
  FROM tried
  UNION ALL
  SELECT {by}side, 'downtime_s_per_connected_hour' AS metric, COALESCE(down_s, 0) AS y, COALESCE(timed_h, 0) AS n, untimed_w AS excluded,
         down_rows AS y_rows, timed_rows AS n_rows
  FROM tried
)
SELECT {by}side, metric, SUM(y) AS y, SUM(n) AS n, SUM(y * y) AS yy, SUM(y * n) AS yn, SUM(n * n) AS nn,
       SUM(y * y * y) AS yyy, SUM(y * y * n) AS yyn, SUM(y * n * n) AS ynn, SUM(n * n * n) AS nnn, SUM(y * y * y * y) AS yyyy,
       SUM(y * y * y * n) AS yyyn, SUM(y * y * n * n) AS yynn, SUM(y * n * n * n) AS ynnn, SUM(n * n * n * n) AS nnnn,
       COUNT(CASE WHEN n > 0 THEN 1 END) AS cluster_count, CAST(SUM(y_rows) AS BIGINT) AS y_rows, CAST(SUM(n_rows) AS BIGINT) AS n_rows,
       COALESCE(SUM(excluded), 0) AS excluded
FROM measured
GROUP BY {by}side, metric
HAVING SUM(n_rows) > 0 OR SUM(y_rows) > 0 OR SUM(excluded) > 0
