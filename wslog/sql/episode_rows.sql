-- episode_rows: the outages in compact form, one row per outage of one session; episodes.sql reads it and says what an outage is.
--   trigger_word, last_code   words of closed lists as numbers, those of outage_rows.sql
--   end_code                  1 recovered, 2 fell_back, 3 left, 4 gave_up, 5 censored
WITH made AS (
  SELECT o.episode_key, o.session_order, o.retry_number, o.role_word, o.has_fallback, a.session_last_us,
         a.started_us, a.ended_us, COALESCE(a.opened_us, a.started_us) AS recovered_us,
         -- a brief open gave service from its open on
         CASE WHEN o.role_word = 6 THEN COALESCE(a.opened_us, a.ended_us) ELSE COALESCE(a.ended_us, a.started_us) END AS over_us,
         CASE WHEN NOT a.is_opened OR a.ended_us IS NULL OR a.first_fallback_us >= a.ended_us THEN a.first_fallback_us
              WHEN a.last_fallback_us >= a.ended_us THEN a.last_fallback_us END    AS fallback_us,
         CASE WHEN o.has_fallback OR o.role_word = 9 THEN a.poll_ok_us END         AS poll_ok_us,
         CASE WHEN o.has_fallback OR o.role_word = 9 THEN a.poll_failed_us END     AS poll_failed_us,
         CASE WHEN a.retry_number >= a.max_retries THEN 1 ELSE 0 END               AS is_exhausted,
         CASE WHEN a.retry_count = 0 THEN 2 ELSE 0 END                             AS is_silent,
         CASE WHEN o.retry_number = 0 THEN COALESCE(a.end_network, a.network_word) ELSE a.network_word END AS began_on,
         CASE WHEN o.retry_number IS NOT NULL AND o.role_word <> 8 THEN a.last_network ELSE a.network_word END AS went_on
  FROM outage_rows AS o
  INNER JOIN attempts AS a ON a.row_key = o.attempt_key
), agg AS (
  SELECT episode_key,
         MIN(CASE WHEN retry_number = 0 THEN role_word END)                         AS trigger_word,
         MIN(CASE WHEN retry_number = 0 THEN started_us END)                        AS trigger_started_us,
         MIN(CASE WHEN retry_number = 0 THEN ended_us END)                          AS trigger_ended_us,
         COUNT(retry_number)                                                        AS row_count,
         COUNT(CASE WHEN role_word BETWEEN 3 AND 5 THEN 1 END)                      AS failed_count,
         COUNT(CASE WHEN role_word = 2 THEN 1 END)                                  AS short_open_count,
         MAX(CASE WHEN role_word = 8 THEN retry_number END)                         AS recovered_retry_number,
         MAX(CASE WHEN role_word = 8 THEN recovered_us END)                         AS recovered_us,
         MAX(CASE WHEN retry_number IS NOT NULL AND has_fallback THEN 1 ELSE 0 END) AS has_fallback,
         MIN(CASE WHEN retry_number IS NOT NULL AND has_fallback THEN fallback_us END) AS fallback_us,
         MIN(poll_ok_us) AS poll_ok_us, MAX(poll_failed_us) AS poll_failed_us, MAX(session_last_us) AS session_last_us,
         -- of the last attempt up to the fallback: its role, whether no retry was announced after it, whether it was the last allowed
         MAX(retry_number * 64 + role_word * 4 + is_silent + is_exhausted)          AS last_code,
         MAX_BY(over_us, session_order) FILTER (WHERE retry_number IS NOT NULL)     AS last_us,
         -- kinds of network met during the outage; none (5) and unknown (7) are no change
         MIN(LEAST(CASE WHEN began_on NOT IN (5, 7) THEN began_on END, CASE WHEN went_on NOT IN (5, 7) THEN went_on END)) AS least_network,
         MAX(GREATEST(CASE WHEN began_on NOT IN (5, 7) THEN began_on END, CASE WHEN went_on NOT IN (5, 7) THEN went_on END)) AS most_network
  FROM made
  GROUP BY episode_key
), ended AS (
  SELECT *,
         CASE WHEN recovered_retry_number IS NOT NULL THEN 1
              WHEN has_fallback = 1 THEN 2
              WHEN last_code & 60 IN (16, 24) THEN 3
              WHEN last_code & 60 = 12 AND last_code & 1 = 1 THEN 4
              -- the log goes on, longer than any client waits, and no retry was announced
              WHEN last_code & 60 <= 12 AND last_code & 2 = 2 AND session_last_us - last_us > {give_up_s} * 1000000 THEN 4
              ELSE 5 END AS end_code,
         CASE WHEN trigger_word = 3 THEN COALESCE(trigger_started_us, trigger_ended_us) ELSE trigger_ended_us END AS started_us
  FROM agg
), clocked AS (
  SELECT *,
         CASE end_code WHEN 1 THEN recovered_us WHEN 2 THEN fallback_us WHEN 3 THEN last_us ELSE session_last_us END AS ended_us,
         CASE WHEN end_code = 1 THEN recovered_us
              WHEN end_code = 2 AND poll_ok_us >= fallback_us THEN poll_ok_us END  AS served_us,
         CASE WHEN trigger_word <> 3 THEN CAST((started_us - started_us % 1000000) / 1e6 AS BIGINT) END AS drop_second
  FROM ended
), seconds AS (
  SELECT a.url_host, c.drop_second, c.drop_second - c.drop_second % 300 AS stretch, COUNT(*) AS drop_count
  FROM clocked AS c
  INNER JOIN attempts AS a ON a.row_key = c.episode_key
  WHERE c.drop_second IS NOT NULL
  GROUP BY a.url_host, c.drop_second
), stretches AS (
  SELECT url_host, stretch, CAST(SUM(drop_count) AS BIGINT) AS stretch_count
  FROM seconds
  GROUP BY url_host, stretch
), eager AS (
  -- the ten minutes around a second hold its five minutes: by these alone most seconds cannot be a herd's
  SELECT s.url_host, s.drop_second, s.stretch, s.drop_count
  FROM seconds AS s
  INNER JOIN stretches AS t ON t.stretch = s.stretch AND COALESCE(t.url_host, '') = COALESCE(s.url_host, '')
  WHERE s.drop_count >= {herd_count}
        AND s.drop_count >= (t.stretch_count - s.drop_count) / 6e2 + {herd_sigma} * SQRT((t.stretch_count - s.drop_count) / 6e2)
), compared AS (
  SELECT e.url_host, e.drop_second, e.drop_count, (SUM(s.drop_count) - e.drop_count) / 6e2 AS usual_count
  FROM (
    SELECT url_host, drop_second, drop_count, stretch + shift AS near_stretch
    FROM eager
    CROSS JOIN (SELECT -300 AS shift UNION ALL SELECT 0 UNION ALL SELECT 300) AS t
  ) AS e
  INNER JOIN seconds AS s ON s.stretch = e.near_stretch AND COALESCE(s.url_host, '') = COALESCE(e.url_host, '')
  WHERE s.drop_second BETWEEN e.drop_second - 300 AND e.drop_second + 300
  GROUP BY e.url_host, e.drop_second, e.drop_count
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
SELECT c.episode_key, c.trigger_word, c.end_code, c.started_us, c.ended_us, c.served_us, c.fallback_us, c.poll_failed_us, c.row_count,
       c.failed_count, c.short_open_count, c.recovered_retry_number, COALESCE(c.least_network <> c.most_network, FALSE) AS is_network_changed,
       h.herd_second, a.side, a.format, a.source_id, a.source_label, COALESCE(t.cluster_number, a.session_number) AS cluster_number, a.client_number, a.session_number, a.session_key, a.session_id IS NOT NULL AS has_session_id,
       a.outcome AS trigger_outcome, a.close_code AS trigger_close_code, a.network_word, a.network_class, a.effective_type, a.rtt_ms,
       a.asn, a.as_org, a.browser, a.browser_version, a.os, a.client_id, a.client_prefix, a.sample_weight, a.url_host, a.url_path
FROM clocked AS c
INNER JOIN attempts AS a ON a.row_key = c.episode_key
LEFT JOIN herds AS h ON h.drop_second = c.drop_second AND COALESCE(h.url_host, '') = COALESCE(a.url_host, '')
LEFT JOIN twins AS t ON t.session_number = a.session_number
