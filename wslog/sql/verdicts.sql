-- verdicts: how each attempt went, decided by rules on what its events say (gathered by wslog.attempts), and its times in
-- microseconds. Joined to those columns in attempt_rows.sql. place is the attempt's number in the table it was gathered in.
WITH judged AS (
  SELECT place, first_row_key, session_key, session_order, connection_id, attempt_at, open_at, error_at, close_at, step_bits,
         http_status, close_code, was_clean, session_last_us, side, close_code_source, ended_by, error_class,
         -- a broken clock or a typing error is no duration: more than 30 years, or less than none
         CASE WHEN lifetime_s >= 0 AND lifetime_s <= 1e9 THEN lifetime_s END AS whole_s,
         CASE WHEN handshake_ms >= 0 AND handshake_ms <= 1e12 THEN handshake_ms END AS shake_ms,
         step_bits & 1 > 0 AS has_attempt, step_bits & 2 > 0 AS has_open, step_bits & 4 > 0 AS has_error, step_bits & 8 > 0 AS has_close,
         COALESCE(error_class IN ('dns', 'refused', 'tls', 'http_status', 'blocked_by_proxy') OR http_status >= 300, FALSE)
           AS is_connect_failure
  FROM gathered
), opened AS (
  -- without an open line, a close tells of an open connection when it carries a lifetime or a code from the wire; a close
  -- with nothing before it in its session belongs to a connection that was open when the log begins
  SELECT *,
         has_open OR (has_close AND (side = 'proxy' OR COALESCE(whole_s > 0, FALSE) OR COALESCE(close_code_source = 'wire', FALSE)
                                     OR (NOT has_attempt AND NOT is_connect_failure
                                         AND (session_order = 1 OR connection_id IS NOT NULL)))) AS is_opened,
         has_error OR has_close AS is_ended,
         unix_micros(attempt_at) AS attempt_us, unix_micros(open_at) AS open_us,
         unix_micros(COALESCE(close_at, error_at)) AS ended_us
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
              ELSE ended_us - CAST(ROUND(whole_s * 1e6) AS BIGINT) - CAST(ROUND(shake_ms * 1e3) AS BIGINT) END AS started_us
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
SELECT place, first_row_key AS row_key, is_opened, is_ended, shook_ms AS handshake_ms, lived_s AS lifetime_s, {outcome} AS outcome, rule_number,
       is_opened AND has_close AND NOT has_open AND NOT has_attempt AND side <> 'proxy'
         AND (session_key IS NOT NULL OR connection_id IS NOT NULL OR whole_s IS NULL) AS is_left_censored,
       started_us, opened_us, ended_us,
       CASE WHEN lived_s IS NOT NULL THEN lived_s
            WHEN is_opened AND NOT is_ended AND session_last_us >= opened_us THEN (session_last_us - opened_us) / 1e6 END AS connected_s
FROM decided
