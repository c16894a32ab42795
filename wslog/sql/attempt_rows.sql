-- attempt_rows: the attempts in compact form: words of closed lists as numbers, no text that can be made from other columns. One row
-- per connection attempt, as one side saw it; attempts.sql reads it and says what an attempt is.
--
-- An engine may make it in parts of threads: thread_id % {parts} = {part}.
WITH islands AS (
  SELECT row_key, thread_id, n, island
  FROM knots
  WHERE step_word IS NOT NULL AND thread_id % {parts} = {part}
  UNION ALL
  SELECT row_key, thread_id, n, island
  FROM strands
  WHERE thread_id % {parts} = {part}
), joined AS (
  SELECT s.*, i.thread_id, i.n, i.island,
         CASE WHEN s.session_key IS NOT NULL AND s.side <> 'proxy' THEN COALESCE(s.connection_id, '') ELSE '' END AS connection_key
  FROM steps AS s
  INNER JOIN islands AS i ON i.row_key = s.row_key
  WHERE s.step IS NOT NULL
), grouped AS (
  -- columns that cannot change within one attempt are taken by MAX; of the others the first that says something. Words of
  -- closed lists go through as row number * base + code: an engine compares numbers several times as fast as text
  SELECT thread_id, connection_key, island,
         MIN(format) AS format, MIN(CASE side WHEN 'client' THEN 1 WHEN 'server' THEN 2 ELSE 3 END) AS side_word,
         MIN(session_key) AS session_key, COUNT(session_id) AS session_id_count,
         MAX(connection_id) AS connection_id, MAX(request_id) AS request_id, MAX(attempt_number) AS attempt_number,
         MAX(retry_number) AS own_retry_number, MAX(url_scheme) AS url_scheme, MAX(url_host) AS url_host, MAX(url_path) AS url_path,
         MIN(CASE WHEN step = 'attempt' THEN event_at END) AS attempt_at, MIN(CASE WHEN step = 'open' THEN event_at END) AS open_at,
         MIN(CASE WHEN step = 'error' THEN event_at END) AS error_at, MIN(CASE WHEN step = 'close' THEN event_at END) AS close_at,
         BIT_OR(CASE step WHEN 'attempt' THEN 1 WHEN 'open' THEN 2 WHEN 'error' THEN 4 ELSE 8 END) AS step_bits,
         MAX(handshake_ms) AS handshake_ms, MAX(lifetime_s) AS lifetime_s, MAX(http_status) AS http_status,
         MIN(n * 8589934592 + close_code + 2147483648) % 8589934592 - 2147483648   AS close_code,
         -- a source that comes with a code wins over one without
         MIN(CASE WHEN close_code_source IS NOT NULL
                  THEN CASE WHEN close_code IS NULL THEN 1000000000000 ELSE n * 8 END
                       + CASE close_code_source WHEN 'wire' THEN 1 WHEN 'library_synthetic' THEN 2 WHEN 'mapped' THEN 3
                                                WHEN 'inferred' THEN 4 ELSE 5 END END) % 8 AS source_word,
         MIN_BY(close_reason, n) FILTER (WHERE close_reason IS NOT NULL)           AS close_reason,
         MIN(was_clean)                                                            AS was_clean,
         MIN(n * 8 + CASE ended_by WHEN 'client' THEN 1 WHEN 'server' THEN 2 WHEN 'proxy' THEN 3 WHEN 'network' THEN 4 END) % 8
           AS ended_word,
         -- the page's own doing wins, then the first class that is not unknown
         MIN(CASE error_class WHEN 'aborted_by_page' THEN 1 WHEN 'unknown' THEN 1000000000002
                  ELSE n * 16 + CASE error_class WHEN 'dns' THEN 3 WHEN 'refused' THEN 4 WHEN 'reset' THEN 5 WHEN 'timeout' THEN 6
                                                 WHEN 'tls' THEN 7 WHEN 'http_status' THEN 8 WHEN 'blocked_by_proxy' THEN 9
                                                 WHEN 'protocol' THEN 10 END END) AS error_code,
         MIN_BY(error_text, n) FILTER (WHERE error_text IS NOT NULL)               AS error_text,
         MAX(sent_count) AS sent_count, MAX(received_count) AS received_count, MAX(sent_bytes) AS sent_bytes,
         MAX(buffered_bytes) AS buffered_bytes, MAX(longest_inbound_silence_ms) AS longest_inbound_silence_ms,
         MAX_BY(rtt_ms, n) FILTER (WHERE rtt_ms IS NOT NULL)                       AS rtt_ms,
         MAX(network_class) AS network_class, MAX(asn) AS asn, MAX(as_org) AS as_org, MAX(browser) AS browser,
         MAX(browser_version) AS browser_version, MAX(os) AS os, MAX(client_id) AS client_id,
         MAX(client_prefix) AS client_prefix, MAX(sample_weight) AS sample_weight
  FROM joined
  GROUP BY thread_id, connection_key, island
), profiles AS (
  -- a page or app run has one browser: what one event of a session says holds for all
  SELECT format, session_key, MAX(browser) AS browser, MAX(browser_version) AS browser_version, MAX(os) AS os
  FROM steps
  WHERE session_key IS NOT NULL AND COALESCE(browser, browser_version, os) IS NOT NULL
  GROUP BY format, session_key
), gathered AS (
  SELECT g.side_word, g.format, f.source_id, g.session_id_count > 0 AS has_session_id, g.session_key, s.session_order, g.connection_id,
         g.request_id, g.attempt_number,
         COALESCE(g.own_retry_number, CASE WHEN s.carried_retry >= COALESCE(s.previous_first_n, 0) * 1000000
                                           THEN s.carried_retry % 1000000 END)     AS retry_number,
         s.max_retries, g.url_scheme, g.url_host, g.url_path, g.attempt_at, g.open_at, g.error_at, g.close_at, g.step_bits,
         g.handshake_ms, g.lifetime_s, g.http_status, g.close_code,
         g.source_word, g.close_reason, g.was_clean, g.ended_word,
         CASE WHEN g.error_code >= 1000000000002 THEN 2 ELSE g.error_code % 16 END AS error_word, g.error_text,
         g.sent_count, g.received_count, g.sent_bytes, g.buffered_bytes, g.longest_inbound_silence_ms,
         -- the network it began on: a drop by handover belongs to the network that was left
         COALESCE(CASE WHEN s.begin_network <> 7 THEN s.begin_network END, s.own_network, 7) AS network_word, COALESCE(s.own_effective, s.begin_effective) AS effective_word,
         g.network_class, g.rtt_ms, g.asn, g.as_org, COALESCE(g.browser, p.browser) AS browser,
         COALESCE(g.browser_version, p.browser_version) AS browser_version, COALESCE(g.os, p.os) AS os,
         g.client_id, g.client_prefix, g.sample_weight,
         s.thread_id AS session_number, s.first_row_key, s.has_later, s.session_last_us, s.end_network, s.last_network, s.retry_count,
         s.fallback_count, s.first_fallback_us, s.last_fallback_us, s.poll_ok_us, s.poll_failed_us
  FROM grouped AS g
  INNER JOIN spans AS s ON s.thread_id = g.thread_id AND s.connection_key = g.connection_key AND s.island = g.island
  INNER JOIN origins AS f ON f.source_rank = CAST((s.first_row_key - s.first_row_key % 10000000000000) / 1e13 AS BIGINT)
  LEFT JOIN profiles AS p ON p.format = g.format AND p.session_key = g.session_key
  UNION ALL
  SELECT CASE side WHEN 'client' THEN 1 WHEN 'server' THEN 2 ELSE 3 END AS side_word, format, source_id, FALSE AS has_session_id, session_key,
         1 AS session_order, connection_id,
         request_id, attempt_number, retry_number, max_retries, url_scheme, url_host, url_path,
         CAST(NULL AS TIMESTAMP) AS attempt_at, CASE WHEN step = 'open' THEN event_at END AS open_at,
         CASE WHEN step = 'error' THEN event_at END AS error_at, CASE WHEN step = 'close' THEN event_at END AS close_at,
         CASE step WHEN 'open' THEN 2 WHEN 'error' THEN 4 ELSE 8 END AS step_bits, handshake_ms, lifetime_s, http_status,
         close_code,
         CASE close_code_source WHEN 'wire' THEN 1 WHEN 'library_synthetic' THEN 2 WHEN 'mapped' THEN 3 WHEN 'inferred' THEN 4
                                WHEN 'absent' THEN 5 END AS source_word, close_reason, was_clean,
         CASE ended_by WHEN 'client' THEN 1 WHEN 'server' THEN 2 WHEN 'proxy' THEN 3 WHEN 'network' THEN 4 END AS ended_word,
         CASE error_class WHEN 'aborted_by_page' THEN 1 WHEN 'unknown' THEN 2 WHEN 'dns' THEN 3 WHEN 'refused' THEN 4 WHEN 'reset' THEN 5
                          WHEN 'timeout' THEN 6 WHEN 'tls' THEN 7 WHEN 'http_status' THEN 8 WHEN 'blocked_by_proxy' THEN 9
                          WHEN 'protocol' THEN 10 END AS error_word, error_text, sent_count, received_count,
         sent_bytes, buffered_bytes, longest_inbound_silence_ms,
         CASE network_type WHEN 'wifi' THEN 1 WHEN 'cellular' THEN 2 WHEN 'ethernet' THEN 3 WHEN 'vpn' THEN 4
                           WHEN 'none' THEN 5 WHEN 'other' THEN 6 ELSE 7 END AS network_word,
         CASE effective_type WHEN 'slow-2g' THEN 1 WHEN '2g' THEN 2 WHEN '3g' THEN 3 WHEN '4g' THEN 4 END AS effective_word,
         network_class, rtt_ms, asn, as_org, browser, browser_version, os, client_id, client_prefix, sample_weight,
         CAST(NULL AS BIGINT) AS session_number, row_key AS first_row_key, FALSE AS has_later, us AS session_last_us, CAST(NULL AS BIGINT) AS end_network,
         CAST(NULL AS BIGINT) AS last_network, 0 AS retry_count, 0 AS fallback_count, CAST(NULL AS BIGINT) AS first_fallback_us,
         CAST(NULL AS BIGINT) AS last_fallback_us, CAST(NULL AS BIGINT) AS poll_ok_us, CAST(NULL AS BIGINT) AS poll_failed_us
  FROM steps
  -- session_id: a reader of Parquet skips what cannot match
  WHERE thread_name IS NULL AND session_id IS NULL AND step IN ('open', 'error', 'close') AND {part} = 0
), worded AS (
  SELECT *,
         CASE side_word WHEN 1 THEN 'client' WHEN 2 THEN 'server' ELSE 'proxy' END AS side,
         CASE source_word WHEN 1 THEN 'wire' WHEN 2 THEN 'library_synthetic' WHEN 3 THEN 'mapped' WHEN 4 THEN 'inferred'
                          WHEN 5 THEN 'absent' END AS close_code_source,
         CASE ended_word WHEN 1 THEN 'client' WHEN 2 THEN 'server' WHEN 3 THEN 'proxy' WHEN 4 THEN 'network' END AS ended_by,
         CASE error_word WHEN 1 THEN 'aborted_by_page' WHEN 2 THEN 'unknown' WHEN 3 THEN 'dns' WHEN 4 THEN 'refused' WHEN 5 THEN 'reset'
                         WHEN 6 THEN 'timeout' WHEN 7 THEN 'tls' WHEN 8 THEN 'http_status' WHEN 9 THEN 'blocked_by_proxy'
                         WHEN 10 THEN 'protocol' END AS error_class
  FROM gathered
), judged AS (
  SELECT *,
         -- a broken clock or a typing error is no duration: more than 30 years, or less than none
         CASE WHEN lifetime_s >= 0 AND lifetime_s <= 1e9 THEN lifetime_s END AS whole_s,
         CASE WHEN handshake_ms >= 0 AND handshake_ms <= 1e12 THEN handshake_ms END AS shake_ms,
         step_bits & 1 > 0 AS has_attempt, step_bits & 2 > 0 AS has_open, step_bits & 4 > 0 AS has_error, step_bits & 8 > 0 AS has_close,
         COALESCE(error_class IN ('dns', 'refused', 'tls', 'http_status', 'blocked_by_proxy') OR http_status >= 300, FALSE)
           AS is_connect_failure
  FROM worded
), opened AS (
  -- without an open line, a close tells of an open connection when it carries a lifetime or a code from the wire; a close
  -- with nothing before it in its session belongs to a connection that was open when the log begins
  SELECT *,
         has_open OR (has_close AND (side = 'proxy' OR COALESCE(whole_s > 0, FALSE) OR COALESCE(close_code_source = 'wire', FALSE)
                                     OR (NOT has_attempt AND NOT is_connect_failure
                                         AND (session_order = 1 OR connection_id IS NOT NULL)))) AS is_opened,
         has_error OR has_close AS is_ended,
         unix_micros(attempt_at) AS attempt_us, unix_micros(open_at) AS open_us,
         COALESCE(close_at, error_at) AS ended_at, unix_micros(COALESCE(close_at, error_at)) AS ended_us
  FROM judged
), timed AS (
  SELECT *,
         -- lifetime_s runs from the request's first byte in a proxy's log, from the handshake's answer elsewhere
         CASE WHEN NOT is_opened THEN NULL
              WHEN open_us IS NOT NULL THEN open_us
              WHEN side = 'proxy' THEN ended_us - CAST(ROUND(whole_s * 1e6) AS BIGINT) + CAST(ROUND(shake_ms * 1e3) AS BIGINT)
              ELSE ended_us - CAST(ROUND(whole_s * 1e6) AS BIGINT) END AS opened_us,
         CASE WHEN attempt_us IS NOT NULL THEN attempt_us
              WHEN NOT is_opened THEN ended_us - CAST(ROUND(shake_ms * 1e3) AS BIGINT)
              WHEN open_us IS NOT NULL THEN open_us - CAST(ROUND(shake_ms * 1e3) AS BIGINT)
              WHEN side = 'proxy' THEN ended_us - CAST(ROUND(whole_s * 1e6) AS BIGINT)
              ELSE ended_us - CAST(ROUND(whole_s * 1e6) AS BIGINT) - CAST(ROUND(shake_ms * 1e3) AS BIGINT) END AS started_us,
         COALESCE(attempt_at, open_at, ended_at) AS anchor_at
  FROM opened
), measured AS (
  SELECT *,
         COALESCE(shake_ms, CASE WHEN is_opened AND opened_us >= attempt_us THEN (opened_us - attempt_us) / 1e3 END) AS shook_ms,
         CASE WHEN NOT is_opened THEN NULL
              WHEN whole_s IS NOT NULL THEN whole_s
              WHEN ended_us >= opened_us THEN (ended_us - opened_us) / 1e6 END AS lived_s
  FROM timed
), decided AS (
  SELECT *,
         {rule_number} AS rule_number
  FROM measured
)
SELECT first_row_key AS row_key, side_word, format, d.source_id, l.source_label, has_session_id, session_key,
       CAST(session_order AS BIGINT) AS session_order, connection_id, request_id, attempt_number,
       CAST(retry_number AS INT) AS retry_number, CAST(max_retries AS INT) AS max_retries, url_scheme, url_host, url_path,
       anchor_at, is_opened, is_ended, shook_ms AS handshake_ms, lived_s AS lifetime_s, http_status, CAST(close_code AS INT) AS close_code,
       source_word, close_reason, was_clean, ended_word, error_word, error_text, {outcome} AS outcome, rule_number,
       is_opened AND has_close AND NOT has_open AND NOT has_attempt AND side <> 'proxy'
         AND (session_key IS NOT NULL OR connection_id IS NOT NULL OR whole_s IS NULL) AS is_left_censored,
       sent_count, received_count, sent_bytes, buffered_bytes, longest_inbound_silence_ms, network_word, network_class,
       effective_word, rtt_ms, asn, as_org, browser, browser_version, os, client_id, client_prefix, sample_weight,
       session_number, has_later, started_us, opened_us, ended_us, session_last_us,
       CASE WHEN lived_s IS NOT NULL THEN lived_s
            WHEN is_opened AND NOT is_ended AND session_last_us >= opened_us THEN (session_last_us - opened_us) / 1e6 END AS connected_s,
       end_network, last_network, retry_count, fallback_count, first_fallback_us, last_fallback_us, poll_ok_us, poll_failed_us
FROM decided AS d
LEFT JOIN (SELECT source_id, MAX(source_label) AS source_label FROM sources GROUP BY source_id) AS l ON l.source_id = d.source_id
