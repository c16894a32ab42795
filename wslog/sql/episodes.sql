-- episodes: one row per outage of one session. The registered columns (the registry's "end" is end_word here: no reserved
-- names), and after them the microsecond clock of the outage.
WITH agg AS (
  SELECT episode_key,
         MIN(CASE WHEN retry_number = 0 THEN attempt_role END)                      AS trigger_role,
         MIN(CASE WHEN retry_number = 0 THEN started_us END)                        AS trigger_started_us,
         MIN(CASE WHEN retry_number = 0 THEN ended_us END)                          AS trigger_ended_us,
         COUNT(retry_number)                                                        AS row_count,
         COUNT(CASE WHEN attempt_role IN ('failed', 'abandoned', 'pending') THEN 1 END) AS failed_count,
         COUNT(CASE WHEN attempt_role = 'short' THEN 1 END)                         AS short_open_count,
         MAX(CASE WHEN attempt_role = 'recovery' THEN retry_number END)             AS recovered_retry_number,
         MAX(CASE WHEN attempt_role = 'recovery' THEN COALESCE(opened_us, started_us) END) AS recovered_us,
         MAX(CASE WHEN retry_number IS NOT NULL AND has_fallback THEN 1 ELSE 0 END) AS has_fallback,
         MIN(CASE WHEN retry_number IS NOT NULL AND has_fallback THEN fallback_us END) AS fallback_us,
         MIN(CASE WHEN has_fallback OR attempt_role = 'after_fallback' THEN poll_ok_us END)     AS poll_ok_us,
         MAX(CASE WHEN has_fallback OR attempt_role = 'after_fallback' THEN poll_failed_us END) AS poll_failed_us,
         MAX(session_last_us)                                                       AS session_last_us,
         MAX_BY(attempt_role, session_order) FILTER (WHERE retry_number IS NOT NULL) AS last_role,
         -- a brief open gave service from its open on
         MAX_BY(CASE WHEN attempt_role = 'brief_left' THEN COALESCE(opened_us, ended_us) ELSE COALESCE(ended_us, started_us) END, session_order)
           FILTER (WHERE retry_number IS NOT NULL)                                  AS last_us,
         MAX_BY(retry_count, session_order) FILTER (WHERE retry_number IS NOT NULL) AS last_retry_count,
         MAX_BY(CASE WHEN said_retry >= max_retries THEN 1 ELSE 0 END, session_order) FILTER (WHERE retry_number IS NOT NULL)
                                                                                    AS is_last_exhausted,
         -- kinds of network met during the outage; none (5) and unknown (7) are no change
         MIN(LEAST(CASE WHEN began_on NOT IN (5, 7) THEN began_on END, CASE WHEN went_on NOT IN (5, 7) THEN went_on END)) AS least_network,
         MAX(GREATEST(CASE WHEN began_on NOT IN (5, 7) THEN began_on END, CASE WHEN went_on NOT IN (5, 7) THEN went_on END)) AS most_network
  FROM (
    SELECT *, CASE WHEN retry_number = 0 THEN COALESCE(end_network, network_word) ELSE network_word END AS began_on,
           CASE WHEN retry_number IS NOT NULL THEN last_network END AS went_on
    FROM outage_rows
  ) AS o
  GROUP BY episode_key
), ended AS (
  SELECT *,
         CASE WHEN recovered_retry_number IS NOT NULL THEN 'recovered'
              WHEN has_fallback = 1 THEN 'fell_back'
              WHEN last_role IN ('abandoned', 'brief_left') THEN 'left'
              WHEN last_role = 'failed' AND is_last_exhausted = 1 THEN 'gave_up'
              -- the log goes on, longer than any client waits, and no retry was announced
              WHEN last_role IN ('failed', 'short', 'lost') AND last_retry_count = 0
                   AND session_last_us - last_us > {give_up_s} * 1000000 THEN 'gave_up'
              ELSE 'censored' END AS end_word,
         CASE WHEN trigger_role = 'failed' THEN COALESCE(trigger_started_us, trigger_ended_us) ELSE trigger_ended_us END AS started_us
  FROM agg
), clocked AS (
  SELECT *,
         CASE WHEN end_word = 'recovered' THEN recovered_us WHEN end_word = 'fell_back' THEN fallback_us
              WHEN end_word = 'left' THEN last_us ELSE session_last_us END AS ended_us,
         CASE WHEN end_word = 'recovered' THEN recovered_us
              WHEN end_word = 'fell_back' THEN CASE WHEN poll_ok_us >= fallback_us THEN poll_ok_us END END AS served_us
  FROM ended
), described AS (
  SELECT c.*, a.side, a.format, a.source_id, a.source_label, a.session_id, a.session_key, a.outcome AS trigger_outcome,
         a.close_code AS trigger_close_code, a.network_type, a.network_class, a.effective_type, a.rtt_ms, a.asn, a.as_org, a.browser,
         a.browser_version, a.os, a.client_id, a.client_prefix, a.sample_weight, a.url_host, a.url_path, a.cluster_key,
         COALESCE(a.ended_at, a.started_at) AS anchor_at, unix_micros(COALESCE(a.ended_at, a.started_at)) AS anchor_us,
         CASE WHEN c.trigger_role = 'failed' THEN 'initial' ELSE 'drop' END AS kind
  FROM clocked AS c
  INNER JOIN attempts AS a ON a.row_key = c.episode_key
), seconds AS (
  SELECT url_host, CAST((c.started_us - c.started_us % 1000000) / 1e6 AS BIGINT) AS drop_second, COUNT(*) AS drop_count
  FROM described AS c
  WHERE kind = 'drop' AND started_us IS NOT NULL
  GROUP BY url_host, CAST((c.started_us - c.started_us % 1000000) / 1e6 AS BIGINT)
), compared AS (
  SELECT *,
         (SUM(drop_count) OVER (PARTITION BY url_host ORDER BY drop_second RANGE BETWEEN 300 PRECEDING AND 300 FOLLOWING)
          - drop_count) / 6e2 AS usual_count
  FROM seconds
), crowded AS (
  -- many sessions of one host within one second: at least {herd_count}, and far above the ten minutes around
  SELECT url_host, drop_second, LAG(drop_second) OVER (PARTITION BY url_host ORDER BY drop_second) AS previous_second
  FROM compared
  WHERE drop_count >= {herd_count} AND drop_count >= usual_count + {herd_sigma} * SQRT(usual_count)
), herds AS (
  SELECT url_host, drop_second,
         MAX(CASE WHEN previous_second IS NULL OR drop_second - previous_second > 2 THEN drop_second END)
           OVER (PARTITION BY url_host ORDER BY drop_second ROWS UNBOUNDED PRECEDING) AS herd_second
  FROM crowded
)
SELECT d.source_id || ':' || {episode_line} AS episode_id, d.side, d.format, d.source_id, d.source_label, d.session_id, d.session_key, d.kind,
       d.anchor_at + INTERVAL '1' MICROSECOND * CAST(d.started_us - d.anchor_us AS DOUBLE) AS started_at,
       d.anchor_at + INTERVAL '1' MICROSECOND * CAST(d.ended_us - d.anchor_us AS DOUBLE) AS ended_at,
       d.end_word,
       -- the attempt that began it counts if it gave no service: it failed, or died at once
       d.row_count - CASE WHEN d.trigger_role = 'lost' THEN 1 ELSE 0 END AS attempt_count,
       d.failed_count, d.short_open_count, d.recovered_retry_number,
       CASE WHEN d.started_us IS NULL OR COALESCE(d.served_us, d.ended_us) IS NULL THEN NULL
            ELSE GREATEST(COALESCE(d.served_us, d.ended_us) - d.started_us, 0) / 1e6 END AS downtime_s,
       d.end_word <> 'recovered' AND d.served_us IS NULL AS is_right_censored,
       CASE WHEN d.end_word = 'fell_back' THEN d.anchor_at + INTERVAL '1' MICROSECOND * CAST(d.fallback_us - d.anchor_us AS DOUBLE) END AS fell_back_at,
       CASE WHEN d.end_word = 'fell_back' THEN d.anchor_at + INTERVAL '1' MICROSECOND * CAST(d.served_us - d.anchor_us AS DOUBLE) END
         AS first_poll_ok_at,
       CASE WHEN d.end_word = 'fell_back' THEN d.anchor_at + INTERVAL '1' MICROSECOND * CAST(d.poll_failed_us - d.anchor_us AS DOUBLE) END
         AS last_poll_failed_at,
       d.trigger_outcome, d.trigger_close_code, COALESCE(d.least_network <> d.most_network, FALSE) AS is_network_changed,
       d.short_open_count >= 2 AS is_flapping,
       COALESCE(d.url_host, '') || '@' || CAST(h.herd_second AS STRING) AS herd_id,
       d.network_type, d.network_class, d.effective_type, d.rtt_ms, d.asn, d.as_org, d.browser, d.browser_version, d.os,
       d.client_id, d.client_prefix, d.sample_weight, d.url_host, d.url_path,
       -- for the metrics; not part of the table
       d.episode_key, d.cluster_key, d.started_us, d.ended_us,
       CASE WHEN d.started_us IS NULL OR d.ended_us IS NULL THEN NULL ELSE GREATEST(d.ended_us - d.started_us, 0) / 1e6 END AS observed_s
FROM described AS d
LEFT JOIN herds AS h
  ON d.kind = 'drop' AND COALESCE(h.url_host, '') = COALESCE(d.url_host, '')
     AND h.drop_second = CAST((d.started_us - d.started_us % 1000000) / 1e6 AS BIGINT)
