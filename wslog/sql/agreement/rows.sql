-- rows: what the matching by time looks at, one row per attempt of either party. Read by wslog/agreement/rows.py.
SELECT a.attempt_id, a.side, a.format, COALESCE(a.source_label, '') AS label, l.link, COALESCE(l.link_kind, 0) AS link_kind,
       a.client_id, a.url_host, a.url_path, a.browser, a.browser_version, a.os, a.started_us, a.opened_us, a.ended_us,
       a.is_opened, a.is_ended, a.request_id IS NOT NULL AS has_request_id, a.connection_id IS NOT NULL AS has_connection_id,
       a.sample_weight
FROM attempts AS a
LEFT JOIN links AS l ON l.attempt_id = a.attempt_id
