-- sessions: one row per session that connected or fell back, described by its first attempt (or, where the log has none, by
-- its fallback events), and whether it ever fell back. Read by the fallback metrics.
WITH fallen AS (
  SELECT format, session_key, MIN(side) AS side, MIN(source_id) AS source_id, MIN(event_at) AS fell_back_at,
         MIN(url_host) AS url_host, MIN(url_path) AS url_path, MIN(network_type) AS network_type,
         MIN(network_class) AS network_class, MIN(effective_type) AS effective_type, MIN(asn) AS asn, MIN(as_org) AS as_org,
         MIN(browser) AS browser, MIN(browser_version) AS browser_version, MIN(os) AS os, MIN(client_prefix) AS client_prefix,
         MAX(sample_weight) AS sample_weight
  FROM steps
  WHERE event = 'fallback' AND session_key IS NOT NULL
  GROUP BY format, session_key
), begun AS (
  SELECT *, COALESCE(started_at, opened_at, ended_at) AS begun_at
  FROM attempts
  WHERE session_key IS NOT NULL AND session_order = 1
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
       f.session_key IS NOT NULL AS has_fallback
FROM begun AS b
FULL OUTER JOIN fallen AS f ON f.format = b.format AND f.session_key = b.session_key
LEFT JOIN (SELECT source_id, MAX(source_label) AS source_label FROM sources GROUP BY source_id) AS l ON l.source_id = f.source_id
