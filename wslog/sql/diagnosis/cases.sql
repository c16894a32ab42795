-- cases: one row per abnormal end of a connection and per failed connect of the selection, with what the session, the outage
-- and the other side's log say about it. Read by wslog/diagnosis/diagnose.py.
--   link         the id that both sides log: a case and its peer (the same connection in another side's log) share it
--   gap_us       from the end of the session's attempt before to the start of this one
--   next_us      when the session's next attempt started
--   loop_count   attempts of the session that began within 100 ms of a failure, or of an end within a second of its open
--   code_count   attempts of the session that the server closed with the same code
--   watched_us   until when logs of this format were read
WITH linked AS (
  SELECT attempt_id, side, outcome, COALESCE(request_id, connection_id) AS link, started_us, opened_us, ended_us, http_status,
         error_class, ended_by, close_code, session_key, lifetime_s
  FROM attempts
  WHERE COALESCE(request_id, connection_id) IS NOT NULL
), unique_links AS (
  -- an id that one side logs twice names no connection
  SELECT link, CASE WHEN side = 'client' THEN 'client' ELSE 'service' END AS party, MIN(attempt_id) AS attempt_id
  FROM linked
  GROUP BY link, CASE WHEN side = 'client' THEN 'client' ELSE 'service' END
  HAVING COUNT(*) = 1
), peers AS (
  SELECT u.link, u.party, l.attempt_id, l.side, l.outcome, l.http_status, l.error_class, l.ended_by, l.ended_us, l.session_key, l.lifetime_s
  FROM unique_links AS u
  INNER JOIN linked AS l ON l.attempt_id = u.attempt_id
), ordered AS (
  SELECT attempt_id,
         started_us - LAG(ended_us) OVER w AS gap_us,
         LEAD(COALESCE(started_us, opened_us, ended_us)) OVER w AS next_us,
         CASE WHEN started_us - LAG(ended_us) OVER w < 100000
               AND (NOT LAG(is_opened) OVER w OR LAG(ended_us) OVER w - LAG(opened_us) OVER w < 1000000) THEN 1 ELSE 0 END AS in_loop,
         session_number
  FROM attempts
  WHERE session_number IS NOT NULL AND session_key IS NOT NULL
  WINDOW w AS (PARTITION BY session_number ORDER BY session_order)
), looped AS (
  SELECT *, CAST(SUM(in_loop) OVER (PARTITION BY session_number) AS BIGINT) AS loop_count
  FROM ordered
), coded AS (
  SELECT session_number, close_code, COUNT(*) AS code_count
  FROM attempts
  WHERE outcome = 'closed_by_server' AND session_number IS NOT NULL
  GROUP BY session_number, close_code
), outed AS (
  SELECT attempt_id, MIN(episode_id) AS episode_id
  FROM outages
  WHERE attempt_role <> 'recovery'
  GROUP BY attempt_id
), watched AS (
  SELECT format, COALESCE(source_label, '') AS label, MAX(unix_micros(observed_until)) AS watched_us
  FROM sources
  GROUP BY format, COALESCE(source_label, '')
), chosen AS (
  SELECT *, COALESCE(request_id, connection_id) AS link, CASE WHEN side = 'client' THEN 'service' ELSE 'client' END AS other_party
  FROM attempts
  WHERE {window} AND {where}
    AND (outcome IN ('dropped', 'idle_timeout', 'closed_by_server', 'network_failed', 'rejected', 'handshake_timeout')
         OR (outcome = 'never_opened' AND (is_ended OR has_later OR fallback_count > 0)))
)
SELECT c.attempt_id, c.side, c.format, c.session_key, c.session_order, c.cluster_key, c.sample_weight, c.outcome, c.is_opened,
       c.started_us, c.opened_us, c.ended_us, COALESCE(c.ended_us, c.opened_us, c.started_us) AS at_us, c.lifetime_s,
       c.handshake_ms, c.longest_inbound_silence_ms / 1e3 AS silence_s, c.http_status, c.close_code, c.close_code_source,
       c.ended_by, c.error_class, c.error_text, c.url_host, c.network_type, c.network_class, c.asn, c.as_org, c.client_prefix,
       c.browser, c.has_later, c.session_last_us, c.retry_count, c.fallback_count, w.watched_us, l.gap_us, l.next_us,
       COALESCE(l.in_loop, 0) AS in_loop, COALESCE(l.loop_count, 0) AS loop_count, COALESCE(n.code_count, 0) AS code_count,
       o.episode_id, e.is_flapping, e.ended_us AS outage_ended_us, e.started_us AS outage_started_us,
       e.end_word AS outage_end,
       p.attempt_id AS peer_id, p.side AS peer_side, p.outcome AS peer_outcome, p.http_status AS peer_status,
       p.error_class AS peer_error, p.ended_by AS peer_ended_by, p.ended_us AS peer_ended_us, p.lifetime_s AS peer_lifetime_s,
       z.sleep_rule, z.noticed_late_s, z.stood_s, z.usual_silence_s
FROM chosen AS c
LEFT JOIN watched AS w ON w.format = c.format AND w.label = COALESCE(c.source_label, '')
LEFT JOIN looped AS l ON l.attempt_id = c.attempt_id
LEFT JOIN coded AS n ON n.session_number = c.session_number AND n.close_code = c.close_code AND c.outcome = 'closed_by_server'
LEFT JOIN outed AS o ON o.attempt_id = c.attempt_id
LEFT JOIN episodes AS e ON e.episode_id = o.episode_id
LEFT JOIN sleeps AS z ON z.attempt_id = c.attempt_id
LEFT JOIN unique_links AS mine ON mine.attempt_id = c.attempt_id
LEFT JOIN peers AS p ON p.link = mine.link AND p.party = c.other_party
ORDER BY c.attempt_id
