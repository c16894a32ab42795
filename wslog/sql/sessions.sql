-- sessions: one row per session that connected or fell back, described by its first attempt (or, where the log has none, by
-- its fallback events), whether it ever fell back, and what sent it there the first time. Read by the fallback metrics.
--   fallback_kind  null       it did not fall back
--                  remembered it began on the fallback: no attempt of its own before. A library that stored an earlier failure
--                             does so (phoenix.js in sessionStorage, pusher-js in localStorage)
--                  service    its own attempt failed, and the service did it: the outage began in a herd or within a minute of
--                             one on the same host, with a close by the server, or with an HTTP answer that no middlebox gives
--                  network    its own attempt failed otherwise: on the way, as far as the log can tell
--                  unknown    an attempt before but none that failed, or no attempt and the log begins less than a minute before
WITH fallen AS (
  SELECT format, session_key, MIN(side) AS side, MIN(source_id) AS source_id, MIN(event_at) AS fell_back_at,
         MIN(url_host) AS url_host, MIN(url_path) AS url_path, MIN(network_type) AS network_type,
         MIN(network_class) AS network_class, MIN(effective_type) AS effective_type, MIN(asn) AS asn, MIN(as_org) AS as_org,
         MIN(browser) AS browser, MIN(browser_version) AS browser_version, MIN(os) AS os, MIN(client_prefix) AS client_prefix,
         MIN(client_id) AS client_id, MAX(sample_weight) AS sample_weight, COUNT(*) AS fallback_total
  FROM steps
  WHERE event = 'fallback' AND session_key IS NOT NULL
  GROUP BY format, session_key
), begun AS (
  SELECT *, COALESCE(started_at, opened_at, ended_at) AS begun_at
  FROM attempts
  WHERE session_key IS NOT NULL AND session_order = 1
), own AS (
  -- attempts of the sessions that fell back; the one whose span holds the first fallback is the last before it
  SELECT a.format, a.session_key, a.session_order, a.fallback_count, a.is_opened, a.ended_us, a.first_fallback_us,
         NOT a.is_opened OR a.outcome IN ('dropped', 'idle_timeout', 'closed_by_server') AS is_failure,
         MIN(CASE WHEN a.fallback_count > 0 THEN a.session_order END) OVER (PARTITION BY a.format, a.session_key) AS last_order
  FROM attempts AS a
  INNER JOIN fallen AS f ON f.format = a.format AND f.session_key = a.session_key
), tried AS (
  SELECT format, session_key, SUM(fallback_count) AS counted_total,
         COUNT(CASE WHEN session_order <= last_order AND is_failure
                         AND (session_order < last_order OR NOT is_opened OR ended_us IS NULL OR first_fallback_us IS NULL
                              OR ended_us <= first_fallback_us) THEN 1 END)        AS failed_count
  FROM own
  GROUP BY format, session_key
), herds AS (
  SELECT url_host, herd_id, MIN(started_us) AS from_us, MAX(started_us) AS until_us
  FROM episodes
  WHERE herd_id IS NOT NULL
  GROUP BY url_host, herd_id
), outed AS (
  SELECT e.format, e.session_key, e.started_us,
         MAX(CASE WHEN e.herd_id IS NOT NULL OR h.herd_id IS NOT NULL OR e.trigger_outcome = 'closed_by_server'
                       OR (a.outcome = 'rejected' AND a.http_status NOT IN (403, 407, 451, 511)
                           AND COALESCE(a.error_class, '') <> 'blocked_by_proxy') THEN 1 ELSE 0 END) AS is_service
  FROM episodes AS e
  INNER JOIN attempts AS a ON a.attempt_id = e.episode_id
  LEFT JOIN herds AS h ON COALESCE(h.url_host, '') = COALESCE(e.url_host, '') AND e.started_us >= h.from_us - 2000000
                          AND e.started_us <= h.until_us + 60000000
  WHERE e.end_word = 'fell_back'
  GROUP BY e.format, e.session_key, e.episode_id, e.started_us
), blamed AS (
  SELECT format, session_key, is_service,
         ROW_NUMBER() OVER (PARTITION BY format, session_key ORDER BY started_us NULLS FIRST, is_service) AS place
  FROM outed
), kinds AS (
  SELECT f.format, f.session_key,
         -- a fallback that no attempt's span holds came before the first
         CASE WHEN f.fallback_total > COALESCE(t.counted_total, 0)
              THEN CASE WHEN unix_micros(f.fell_back_at) < unix_micros(l.observed_from) + 60000000 THEN 'unknown' ELSE 'remembered' END
              WHEN t.failed_count = 0 THEN 'unknown'
              WHEN b.is_service = 1 THEN 'service'
              ELSE 'network' END AS fallback_kind
  FROM fallen AS f
  LEFT JOIN tried AS t ON t.format = f.format AND t.session_key = f.session_key
  LEFT JOIN blamed AS b ON b.format = f.format AND b.session_key = f.session_key AND b.place = 1
  LEFT JOIN (SELECT source_id, MIN(observed_from) AS observed_from FROM sources GROUP BY source_id) AS l ON l.source_id = f.source_id
)
SELECT COALESCE(b.side, f.side) AS side, COALESCE(b.format, f.format) AS format,
       COALESCE(b.source_label, l.source_label) AS source_label, COALESCE(b.session_key, f.session_key) AS session_key,
       COALESCE(b.begun_at, f.fell_back_at) AS started_at, unix_micros(COALESCE(b.begun_at, f.fell_back_at)) AS started_us,
       COALESCE(b.url_host, f.url_host) AS url_host, COALESCE(b.url_path, f.url_path) AS url_path,
       COALESCE(b.network_type, f.network_type, 'unknown') AS network_type,
       COALESCE(b.network_class, f.network_class) AS network_class, COALESCE(b.effective_type, f.effective_type) AS effective_type,
       COALESCE(b.asn, f.asn) AS asn, COALESCE(b.as_org, f.as_org) AS as_org, COALESCE(b.browser, f.browser) AS browser,
       COALESCE(b.browser_version, f.browser_version) AS browser_version, COALESCE(b.os, f.os) AS os,
       COALESCE(b.client_prefix, f.client_prefix) AS client_prefix, COALESCE(b.sample_weight, f.sample_weight) AS sample_weight,
       f.session_key IS NOT NULL AS has_fallback,
       -- for the metrics; not part of what may be asked for
       COALESCE(b.session_key, f.session_key) AS cluster_key, COALESCE(b.client_id, f.client_id) AS client_id, k.fallback_kind
FROM begun AS b
FULL OUTER JOIN fallen AS f ON f.format = b.format AND f.session_key = b.session_key
LEFT JOIN kinds AS k ON k.format = f.format AND k.session_key = f.session_key
LEFT JOIN (SELECT source_id, MAX(source_label) AS source_label FROM sources GROUP BY source_id) AS l ON l.source_id = f.source_id
