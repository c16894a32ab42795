-- outages: one row per attempt that belongs to an outage of a session: the one that began it (retry_number 0) and those
-- made while it lasted. Read by episodes.sql and metrics/retries.sql.
--
-- An open that lasts (kept, or lost after {stable_s} s or more) cuts a session into segments, and a segment has at most one
-- outage: it begins with the loss of that open or the first failed attempt after it, and ends at the open that begins the
-- next segment (recovery), at a fallback, or with the session. So opens that die at once never end an outage, and attempts
-- made after a fallback are none of a new one. An open that was watched for less than {stable_s} s, because the page was left
-- or the log ends, is brief: nobody can say whether it would have lasted, so it ends no outage.
WITH watched AS (
  SELECT source_id, format, COALESCE(source_label, '') AS label, MIN(unix_micros(observed_from)) AS from_us,
         MAX(unix_micros(observed_until)) AS until_us
  FROM sources
  GROUP BY source_id, format, COALESCE(source_label, '')
), windows AS (
  -- a log that goes on in the next file (within ten minutes) is watched until that one ends
  SELECT a.source_id, MAX(GREATEST(a.until_us, COALESCE(b.until_us, a.until_us))) AS observed_until_us
  FROM watched AS a
  LEFT JOIN watched AS b ON b.format = a.format AND b.label = a.label AND b.from_us <= a.until_us + 600000000
  GROUP BY a.source_id
), classed AS (
  SELECT a.attempt_id, a.session_number, a.session_order, a.is_opened, a.retry_number AS said_retry, a.max_retries,
         started_us, opened_us, ended_us, session_last_us, network_word, end_network, last_network, retry_count, fallback_count,
         first_fallback_us, last_fallback_us, poll_ok_us, poll_failed_us,
         CASE WHEN NOT is_opened AND outcome = 'abandoned' THEN 'abandoned'
              WHEN NOT is_opened AND (is_ended OR has_later OR fallback_count > 0) THEN 'failed'
              WHEN NOT is_opened THEN 'pending'
              WHEN outcome IN ('dropped', 'idle_timeout', 'closed_by_server') AND lifetime_s < {stable_s} THEN 'short'
              WHEN outcome IN ('dropped', 'idle_timeout', 'closed_by_server') THEN 'lost'
              WHEN outcome = 'unloaded' AND lifetime_s < {stable_s} THEN 'brief_left'
              WHEN NOT is_ended AND NOT has_later
                   AND GREATEST(session_last_us, COALESCE(observed_until_us, session_last_us)) - opened_us < {stable_s} * 1000000
              THEN 'brief_open'
              ELSE 'kept' END AS attempt_class
  FROM attempts AS a
  LEFT JOIN windows AS w ON w.source_id = a.source_id
  WHERE a.session_key IS NOT NULL
), cut AS (
  SELECT *,
         SUM(CASE WHEN attempt_class IN ('lost', 'kept') THEN 1 ELSE 0 END)
           OVER (PARTITION BY session_number ORDER BY session_order ROWS UNBOUNDED PRECEDING) AS segment,
         -- a fallback logged while the connection was still open is none of its outage
         CASE WHEN attempt_class = 'kept' OR fallback_count = 0 THEN NULL
              WHEN NOT is_opened OR ended_us IS NULL OR first_fallback_us >= ended_us THEN first_fallback_us
              WHEN last_fallback_us >= ended_us THEN last_fallback_us END AS fallback_us,
         attempt_class <> 'kept' AND fallback_count > 0
           AND (NOT is_opened OR ended_us IS NULL OR last_fallback_us IS NULL OR last_fallback_us >= ended_us) AS has_fallback
  FROM classed
), items AS (
  SELECT attempt_id, session_number, session_order, segment, attempt_class, said_retry, max_retries, started_us, opened_us,
         ended_us, session_last_us, network_word, end_network, last_network, retry_count, poll_ok_us, poll_failed_us,
         fallback_us, has_fallback
  FROM cut
  WHERE attempt_class <> 'kept'
  UNION ALL
  SELECT attempt_id, session_number, session_order, segment - 1 AS segment, 'recovery' AS attempt_class, said_retry,
         max_retries, started_us, opened_us, ended_us, session_last_us, network_word, end_network, network_word AS last_network,
         0 AS retry_count, CAST(NULL AS BIGINT) AS poll_ok_us, CAST(NULL AS BIGINT) AS poll_failed_us,
         CAST(NULL AS BIGINT) AS fallback_us, FALSE AS has_fallback
  FROM cut
  WHERE attempt_class IN ('lost', 'kept')
), framed AS (
  SELECT *,
         MIN(CASE WHEN attempt_class IN ('lost', 'short', 'failed') THEN session_order END)
           OVER (PARTITION BY session_number, segment) AS trigger_order,
         MIN(CASE WHEN has_fallback THEN session_order END)
           OVER (PARTITION BY session_number, segment) AS fallback_order
  FROM items
)
SELECT FIRST_VALUE(attempt_id) OVER w AS episode_id, attempt_id,
       CASE WHEN fallback_order IS NULL OR session_order <= fallback_order THEN ROW_NUMBER() OVER w - 1 END AS retry_number,
       CASE WHEN fallback_order IS NULL OR session_order <= fallback_order THEN attempt_class ELSE 'after_fallback' END AS attempt_role,
       session_order, said_retry, max_retries, started_us, opened_us, ended_us, session_last_us, network_word, end_network,
       last_network, retry_count, poll_ok_us, poll_failed_us, fallback_us, has_fallback
FROM framed
WHERE session_order >= trigger_order AND (fallback_order IS NULL OR fallback_order >= trigger_order)
WINDOW w AS (PARTITION BY session_number, segment ORDER BY session_order ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
