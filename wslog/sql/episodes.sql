-- episodes: one row per outage of one session. The registered columns (the registry's "end" is end_word here: no reserved
-- names), and after them the microsecond clock of the outage. A view of episode_rows.sql: text is made when it is asked for.
SELECT source_id || ':' || {episode_line} AS episode_id, side, format, source_id, source_label,
       CASE WHEN has_session_id THEN session_key END AS session_id, session_key, CASE WHEN trigger_word = 3 THEN 'initial' ELSE 'drop' END AS kind,
       timestamp_micros(started_us) AS started_at, timestamp_micros(ended_us) AS ended_at,
       CASE end_code WHEN 1 THEN 'recovered' WHEN 2 THEN 'fell_back' WHEN 3 THEN 'left' WHEN 4 THEN 'gave_up' ELSE 'censored' END AS end_word,
       -- the attempt that began it counts if it gave no service: it failed, or died at once
       row_count - CASE WHEN trigger_word = 1 THEN 1 ELSE 0 END AS attempt_count,
       failed_count, short_open_count, recovered_retry_number,
       CASE WHEN started_us IS NULL OR COALESCE(served_us, ended_us) IS NULL THEN NULL
            ELSE GREATEST(COALESCE(served_us, ended_us) - started_us, 0) / 1e6 END AS downtime_s,
       end_code <> 1 AND served_us IS NULL AS is_right_censored,
       CASE WHEN end_code = 2 THEN timestamp_micros(fallback_us) END AS fell_back_at,
       CASE WHEN end_code = 2 THEN timestamp_micros(served_us) END AS first_poll_ok_at,
       CASE WHEN end_code = 2 THEN timestamp_micros(poll_failed_us) END AS last_poll_failed_at,
       trigger_outcome, trigger_close_code, is_network_changed, short_open_count >= 2 AS is_flapping,
       COALESCE(url_host, '') || '@' || CAST(herd_second AS STRING) AS herd_id,
       CASE network_word WHEN 1 THEN 'wifi' WHEN 2 THEN 'cellular' WHEN 3 THEN 'ethernet' WHEN 4 THEN 'vpn' WHEN 5 THEN 'none'
                         WHEN 6 THEN 'other' ELSE 'unknown' END AS network_type,
       network_class, effective_type, rtt_ms, asn, as_org, browser, browser_version, os, client_id, client_prefix, sample_weight, url_host, url_path,
       -- for the metrics; not part of the table
       episode_key, session_number, session_key AS cluster_key, cluster_number, client_number, row_count, started_us, ended_us,
       CASE WHEN started_us IS NULL OR ended_us IS NULL THEN NULL ELSE GREATEST(ended_us - started_us, 0) / 1e6 END AS observed_s
FROM episode_rows
