-- attempt_rows: one row per connection attempt, as one side saw it: what its events say and how it went. No text is there
-- that can be made from other columns: attempts.sql says what an attempt is.
SELECT v.row_key, g.side, g.format, g.source_id, g.source_label, g.has_session_id, g.session_key, g.session_order, g.connection_id, g.request_id,
       g.attempt_number, g.retry_number, g.max_retries, g.url_scheme, g.url_host, g.url_path, v.is_opened, v.is_ended,
       v.handshake_ms, v.lifetime_s, g.http_status, g.close_code, g.close_code_source, g.close_reason, g.was_clean, g.ended_by, g.error_class,
       g.error_text, v.outcome, v.rule_number, v.is_left_censored, g.sent_count, g.received_count, g.sent_bytes, g.buffered_bytes,
       g.longest_inbound_silence_ms, g.network_word, g.network_type, g.network_class, g.effective_type, g.rtt_ms, g.asn, g.as_org, g.browser,
       g.browser_version, g.os, g.client_id, g.client_number, g.client_prefix, g.sample_weight, g.session_number, g.has_later, v.started_us, v.opened_us,
       v.ended_us, g.session_last_us, v.connected_s, g.end_network, g.last_network, g.retry_count, g.fallback_count, g.first_fallback_us,
       g.last_fallback_us, g.poll_ok_us, g.poll_failed_us
FROM gathered AS g
INNER JOIN verdicts AS v ON v.row_key = g.first_row_key
