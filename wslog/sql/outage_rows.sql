-- outage_rows: one row per attempt that belongs to an outage of a session: the one that began it (retry_number 0) and those
-- made while it lasted. Rows are named by the row_key of their attempt; outages.sql adds the ids. Read by episodes.sql.
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
  SELECT a.row_key, a.session_number, a.session_order, a.is_opened, a.retry_number AS said_retry, a.max_retries,
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
  SELECT row_key, session_number, session_order, segment, attempt_class, said_retry, max_retries, started_us, opened_us,
         ended_us, session_last_us, network_word, end_network, last_network, retry_count, poll_ok_us, poll_failed_us,
         fallback_us, has_fallback
  FROM cut
  WHERE attempt_class <> 'kept'
  UNION ALL
  SELECT row_key, session_number, session_order, segment - 1 AS segment, 'recovery' AS attempt_class, said_retry,
         max_retries, started_us, opened_us, ended_us, session_last_us, network_word, end_network, network_word AS last_network,
         0 AS retry_count, CAST(NULL AS BIGINT) AS poll_ok_us, CAST(NULL AS BIGINT) AS poll_failed_us,
         CAST(NULL AS BIGINT) AS fallback_us, FALSE AS has_fallback
  FROM cut
  WHERE attempt_class IN ('lost', 'kept')
), framed AS (
  SELECT session_number, segment,
         MIN(CASE WHEN attempt_class IN ('lost', 'short', 'failed') THEN session_order END) AS trigger_order,
         MIN_BY(row_key, session_order) FILTER (WHERE attempt_class IN ('lost', 'short', 'failed')) AS episode_key,
         MIN(CASE WHEN has_fallback THEN session_order END)                        AS fallback_order
  FROM items
  GROUP BY session_number, segment
)
-- the attempts of a segment follow one another: their order counts the retries
SELECT f.episode_key, i.row_key AS attempt_key,
       CASE WHEN f.fallback_order IS NULL OR i.session_order <= f.fallback_order THEN i.session_order - f.trigger_order END AS retry_number,
       CASE WHEN f.fallback_order IS NULL OR i.session_order <= f.fallback_order THEN i.attempt_class ELSE 'after_fallback' END AS attempt_role,
       i.session_order, i.said_retry, i.max_retries, i.started_us, i.opened_us, i.ended_us, i.session_last_us, i.network_word, i.end_network,
       i.last_network, i.retry_count, i.poll_ok_us, i.poll_failed_us, i.fallback_us, i.has_fallback
FROM items AS i
INNER JOIN framed AS f ON f.session_number = i.session_number AND f.segment = i.segment
WHERE i.session_order >= f.trigger_order AND (f.fallback_order IS NULL OR f.fallback_order >= f.trigger_order)
