-- attempts: one row per connection attempt, as one side saw it. The registered columns, and after them what the later
-- stages need: what else happened between the begin of this attempt and the begin of the session's next one.
--
-- Which events make one attempt: those of one connection_id. Where none is logged, attempts are islands in the session:
-- a new one begins at an attempt; at an open not directly preceded by an attempt; at an error or close when the one
-- before has ended (the close after an error is the same failure). A line without session or connection is one by itself.
--
-- A view of attempt_rows.sql, which see for where each column comes from: here text is made of other
-- columns, so that nobody pays for text nobody asks for.
SELECT source_id || ':' || {row_line} AS attempt_id,
       side, format, source_id, source_label, CASE WHEN has_session_id THEN session_key END AS session_id, session_key, session_order,
       connection_id, request_id, attempt_number, retry_number, max_retries, url_scheme, url_host, url_path,
       timestamp_micros(started_us) AS started_at,
       timestamp_micros(opened_us) AS opened_at,
       timestamp_micros(ended_us) AS ended_at, is_opened, is_ended, handshake_ms, lifetime_s, http_status, close_code, close_code_source, close_reason, was_clean,
       CASE WHEN is_ended THEN COALESCE(ended_by, 'unknown') END AS ended_by, error_class, error_text, outcome,
       {rule_id} AS rule_id, {rules_version} AS rules_version,
       {evidence} AS evidence,
       is_left_censored, NOT is_ended AS is_right_censored, sent_count, received_count, sent_bytes, buffered_bytes,
       longest_inbound_silence_ms,
       network_type, network_class, effective_type,
       rtt_ms, asn, as_org, browser, browser_version, os, client_id, client_prefix, sample_weight,
       -- for the later stages; not part of the table
       COALESCE(session_key, client_id, source_id || ':' || CAST(row_key AS STRING)) AS cluster_key, row_key,
       session_number, client_number, has_later, network_word, started_us, opened_us, ended_us, session_last_us, connected_s,
       end_network, last_network, retry_count, fallback_count, first_fallback_us, last_fallback_us, poll_ok_us, poll_failed_us
FROM attempt_rows
