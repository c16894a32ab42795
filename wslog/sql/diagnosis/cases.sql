-- cases: one row per abnormal end of a connection and per failed connect of the selection, with what the session, the outage
-- and the other side's log say about it. Rows are named by the row_key of their attempt. Read by wslog/diagnosis/diagnose.py.
--   peer_key     the same connection in another side's log (table views, made by wslog/diagnosis/views.py)
--   next_us      when the session's next attempt started
--   in_loop      the attempt began within 100 ms of a failure, or of an end within a second of its open
--   loop_count   how many attempts of its session did
--   code_count   attempts of the session that the server closed with the same code
--   episode_key  the attempt that began the outage
--   watched_us   until when logs of this format were read
WITH chosen AS (
  SELECT attempt_id, row_key, side, format, source_label, session_key, session_number, cluster_key, sample_weight, outcome, is_opened,
         started_us, opened_us, ended_us, lifetime_s, longest_inbound_silence_ms, http_status, close_code, close_code_source,
         ended_by, error_class, error_text, url_host, network_type, network_class, asn, as_org, client_prefix, browser,
         session_last_us, retry_count, fallback_count
  FROM attempts
  WHERE {window} AND {where}
    AND (outcome IN ('dropped', 'idle_timeout', 'closed_by_server', 'network_failed', 'rejected', 'handshake_timeout')
         OR (outcome = 'never_opened' AND (is_ended OR has_later OR fallback_count > 0)))
), peers AS (
  SELECT v.row_key, v.peer_key, a.outcome, a.http_status, a.ended_by, a.ended_us, a.lifetime_s
  FROM views AS v
  INNER JOIN chosen AS c ON c.row_key = v.row_key
  INNER JOIN attempts AS a ON a.row_key = v.peer_key
), ordered AS (
  SELECT row_key, LEAD(COALESCE(started_us, opened_us, ended_us)) OVER w AS next_us,
         CASE WHEN started_us - LAG(ended_us) OVER w < 100000
               AND (NOT LAG(is_opened) OVER w OR LAG(ended_us) OVER w - LAG(opened_us) OVER w < 1000000) THEN 1 ELSE 0 END AS in_loop,
         session_number
  FROM attempts
  WHERE session_number IS NOT NULL AND session_key IS NOT NULL
  WINDOW w AS (PARTITION BY session_number ORDER BY session_order)
), loops AS (
  SELECT session_number, SUM(in_loop) AS loop_count
  FROM ordered
  WHERE in_loop = 1
  GROUP BY session_number
), coded AS (
  SELECT session_number, close_code, COUNT(*) AS code_count
  FROM attempts
  WHERE outcome = 'closed_by_server' AND session_number IS NOT NULL
  GROUP BY session_number, close_code
), outed AS (
  SELECT attempt_key, MIN(episode_key) AS episode_key
  FROM outage_rows
  WHERE role_word NOT IN (8, 10)
  GROUP BY attempt_key
), watched AS (
  SELECT format, COALESCE(source_label, '') AS label, MAX(unix_micros(observed_until)) AS watched_us
  FROM sources
  GROUP BY format, COALESCE(source_label, '')
)
SELECT c.attempt_id, c.row_key, c.side, c.format, c.session_key, c.cluster_key, c.sample_weight, c.outcome, c.is_opened,
       c.started_us, c.ended_us, COALESCE(c.ended_us, c.opened_us, c.started_us) AS at_us, c.lifetime_s,
       c.longest_inbound_silence_ms / 1e3 AS silence_s, c.http_status, c.close_code, c.close_code_source,
       c.error_class, c.error_text, c.url_host, c.network_type, c.network_class, c.asn, c.as_org, c.client_prefix,
       c.browser, c.session_last_us, c.retry_count, c.fallback_count, w.watched_us, l.next_us,
       COALESCE(l.in_loop, 0) AS in_loop, CAST(COALESCE(k.loop_count, 0) AS BIGINT) AS loop_count, COALESCE(n.code_count, 0) AS code_count,
       o.episode_key, e.is_flapping, e.started_us AS outage_started_us, e.end_word AS outage_end,
       p.peer_key, p.outcome AS peer_outcome, p.http_status AS peer_status, p.ended_by AS peer_ended_by,
       p.ended_us AS peer_ended_us, p.lifetime_s AS peer_lifetime_s,
       z.sleep_rule, z.noticed_late_s, z.stood_s, z.usual_silence_s
FROM chosen AS c
LEFT JOIN watched AS w ON w.format = c.format AND w.label = COALESCE(c.source_label, '')
LEFT JOIN ordered AS l ON l.row_key = c.row_key
LEFT JOIN loops AS k ON k.session_number = l.session_number
LEFT JOIN coded AS n ON n.session_number = c.session_number AND n.close_code = c.close_code AND c.outcome = 'closed_by_server'
LEFT JOIN outed AS o ON o.attempt_key = c.row_key
LEFT JOIN episodes AS e ON e.episode_key = o.episode_key
LEFT JOIN sleeps AS z ON z.row_key = c.row_key
LEFT JOIN peers AS p ON p.row_key = c.row_key
ORDER BY c.row_key
