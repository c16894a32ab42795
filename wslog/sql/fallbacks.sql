-- fallbacks: one row per session that fell back to polling or SSE: what sent it there the first time, and, for a log that
-- has none of its attempts, what its fallback events say. Read by sessions.sql.
--   session_number  that of its attempts; null: the log has none
--   fallback_kind   remembered it began on the fallback: no attempt of its own before. A library that stored an earlier failure
--                              does so (phoenix.js in sessionStorage, pusher-js in localStorage)
--                   service    its own attempt failed, and the service did it: the outage began in a herd or within a minute of
--                              one on the same host, with a close by the server, or with an HTTP answer that no middlebox gives
--                   network    its own attempt failed otherwise: on the way, as far as the log can tell
--                   unknown    an attempt before but none that failed, or no attempt and the log begins less than a minute before
WITH logged AS (
  SELECT format, session_key, MIN(source_id) AS source_id, MIN(event_at) AS fell_back_at, COUNT(*) AS fallback_total
  FROM steps
  WHERE event = 'fallback' AND session_key IS NOT NULL
  GROUP BY format, session_key
), fallen AS (
  SELECT f.*, b.session_number
  FROM logged AS f
  LEFT JOIN (
    SELECT format, session_key, session_number FROM attempts WHERE session_key IS NOT NULL AND session_order = 1
  ) AS b ON b.format = f.format AND b.session_key = f.session_key
), lone AS (
  -- who has attempts is described by these: the many columns are read for the others alone
  SELECT s.format, s.session_key, MIN(s.side) AS side, MIN(s.url_host) AS url_host, MIN(s.url_path) AS url_path,
         MIN(s.network_type) AS network_type, MIN(s.network_class) AS network_class, MIN(s.effective_type) AS effective_type,
         MIN(s.asn) AS asn, MIN(s.as_org) AS as_org, MIN(s.browser) AS browser, MIN(s.browser_version) AS browser_version,
         MIN(s.os) AS os, MIN(s.client_prefix) AS client_prefix, MIN(s.client_id) AS client_id, MAX(s.sample_weight) AS sample_weight
  FROM steps AS s
  INNER JOIN fallen AS f ON f.format = s.format AND f.session_key = s.session_key
  WHERE s.event = 'fallback' AND f.session_number IS NULL
  GROUP BY s.format, s.session_key
), own AS (
  SELECT a.session_number, a.session_order, a.fallback_count,
         NOT a.is_opened OR a.outcome IN ('dropped', 'idle_timeout', 'closed_by_server') AS is_failure,
         NOT a.is_opened OR a.ended_us IS NULL OR a.first_fallback_us IS NULL OR a.ended_us <= a.first_fallback_us AS is_over_first
  FROM attempts AS a
  INNER JOIN (SELECT session_number FROM fallen) AS f ON f.session_number = a.session_number
), counted AS (
  -- the attempt whose span holds the first fallback is the last before it
  SELECT session_number, SUM(fallback_count) AS counted_total, MIN(CASE WHEN fallback_count > 0 THEN session_order END) AS last_order
  FROM own
  GROUP BY session_number
), tried AS (
  SELECT c.session_number, MIN(c.counted_total) AS counted_total,
         COUNT(CASE WHEN o.is_failure AND (o.session_order < c.last_order OR o.is_over_first) THEN 1 END) AS failed_count
  FROM counted AS c
  LEFT JOIN own AS o ON o.session_number = c.session_number AND o.session_order <= c.last_order
  GROUP BY c.session_number
), herds AS (
  SELECT url_host, herd_id, MIN(started_us) AS from_us, MAX(started_us) AS until_us
  FROM episodes
  WHERE herd_id IS NOT NULL
  GROUP BY url_host, herd_id
), outed AS (
  SELECT e.session_number, e.episode_key, e.started_us,
         MAX(CASE WHEN e.herd_id IS NOT NULL OR h.herd_id IS NOT NULL OR e.trigger_outcome = 'closed_by_server'
                       OR (a.outcome = 'rejected' AND a.http_status NOT IN (403, 407, 451, 511)
                           AND COALESCE(a.error_class, '') <> 'blocked_by_proxy') THEN 1 ELSE 0 END) AS is_service
  FROM episodes AS e
  INNER JOIN attempts AS a ON a.row_key = e.episode_key
  LEFT JOIN herds AS h ON COALESCE(h.url_host, '') = COALESCE(e.url_host, '') AND e.started_us >= h.from_us - 2000000
                          AND e.started_us <= h.until_us + 60000000
  WHERE e.end_word = 'fell_back'
  GROUP BY e.session_number, e.episode_key, e.started_us
), blamed AS (
  SELECT session_number, is_service, ROW_NUMBER() OVER (PARTITION BY session_number ORDER BY started_us NULLS FIRST, is_service) AS place
  FROM outed
)
SELECT f.*, o.side, o.url_host, o.url_path, o.network_type, o.network_class, o.effective_type, o.asn, o.as_org, o.browser,
       o.browser_version, o.os, o.client_prefix, o.client_id, o.sample_weight,
       -- a fallback that no attempt's span holds came before the first
       CASE WHEN f.fallback_total > COALESCE(t.counted_total, 0)
            THEN CASE WHEN unix_micros(f.fell_back_at) < unix_micros(l.observed_from) + 60000000 THEN 'unknown' ELSE 'remembered' END
            WHEN t.failed_count = 0 THEN 'unknown'
            WHEN b.is_service = 1 THEN 'service'
            ELSE 'network' END AS fallback_kind,
       l.source_label
FROM fallen AS f
LEFT JOIN lone AS o ON o.format = f.format AND o.session_key = f.session_key
LEFT JOIN tried AS t ON t.session_number = f.session_number
LEFT JOIN blamed AS b ON b.session_number = f.session_number AND b.place = 1
LEFT JOIN (
  SELECT source_id, MIN(observed_from) AS observed_from, MAX(source_label) AS source_label FROM sources GROUP BY source_id
) AS l ON l.source_id = f.source_id
