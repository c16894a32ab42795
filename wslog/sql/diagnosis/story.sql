-- story: everything that one session logged, in order of time. Read by wslog/diagnosis/story.py.
WITH chosen AS (
  SELECT *
  FROM steps
  WHERE {where}
)
SELECT session_key, side, format, event, event_at, order_us, row_key, source_id, line_number, connection_id, transport, http_status, close_code,
       close_code_source, error_class, network_type, lifetime_s, handshake_ms, retry_number, retry_delay_ms
FROM chosen
WHERE session_key IS NOT NULL
ORDER BY order_us NULLS FIRST, row_key
