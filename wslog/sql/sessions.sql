-- sessions: one row per session that connected or fell back, described by its first attempt (or, where the log has none, by
-- its fallback events), whether it ever fell back, and what sent it there the first time (fallback_kind of fallbacks.sql; null:
-- it did not fall back). Read by the fallback metrics.
SELECT a.side, a.format, a.source_label, a.session_key, COALESCE(a.started_at, a.opened_at, a.ended_at, f.fell_back_at) AS started_at,
       COALESCE(a.started_us, a.opened_us, a.ended_us, unix_micros(f.fell_back_at)) AS started_us,
       a.url_host, a.url_path, a.network_type, a.network_class, a.effective_type, a.asn, a.as_org, a.browser, a.browser_version, a.os,
       a.client_prefix, a.sample_weight, f.session_key IS NOT NULL AS has_fallback,
       -- for the metrics; not part of what may be asked for
       a.cluster_number, a.client_number, a.client_id, f.fallback_kind
FROM clustered AS a
LEFT JOIN fallbacks AS f ON f.session_number = a.session_number
WHERE a.session_key IS NOT NULL AND a.session_order = 1
UNION ALL
SELECT side, format, source_label, session_key, fell_back_at AS started_at, unix_micros(fell_back_at) AS started_us, url_host, url_path,
       COALESCE(network_type, 'unknown') AS network_type, network_class, effective_type, asn, as_org, browser, browser_version, os,
       client_prefix, sample_weight, TRUE AS has_fallback, -DENSE_RANK() OVER (ORDER BY session_key) AS cluster_number,
       -- one client, but another than those of attempts
       CASE WHEN client_id IS NOT NULL THEN -1000000000000 - DENSE_RANK() OVER (ORDER BY client_id) END AS client_number,
       client_id, fallback_kind
FROM fallbacks
WHERE session_number IS NULL
