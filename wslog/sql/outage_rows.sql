-- outage_rows: one row per attempt that belongs to an outage of a session: the one that began it (retry_number 0) and those
-- made while it lasted. Rows are named by the row_key of their attempt; outages.sql adds ids and words. Read by episodes.sql.
--   role_word     1 lost, 2 short, 3 failed: these begin an outage; 4 abandoned, 5 pending, 6 brief_left, 7 brief_open;
--                 8 recovery; 9 after_fallback, 10 the same where an open lasted. (0 kept: of no outage but the one that it ends)
--   retry_number  null after a fallback
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
  SELECT a.row_key, a.session_number, a.session_order,
         CASE WHEN NOT is_opened AND outcome = 'abandoned' THEN 4
              WHEN NOT is_opened AND (is_ended OR has_later OR fallback_count > 0) THEN 3
              WHEN NOT is_opened THEN 5
              WHEN outcome IN ('dropped', 'idle_timeout', 'closed_by_server') AND lifetime_s < {stable_s} THEN 2
              WHEN outcome IN ('dropped', 'idle_timeout', 'closed_by_server') THEN 1
              WHEN outcome = 'unloaded' AND lifetime_s < {stable_s} THEN 6
              WHEN NOT is_ended AND NOT has_later
                   AND GREATEST(session_last_us, COALESCE(observed_until_us, session_last_us)) - opened_us < {stable_s} * 1000000
              THEN 7
              ELSE 0 END AS class_word,
         -- a fallback logged while the connection was still open is none of its outage
         fallback_count > 0 AND (NOT is_opened OR ended_us IS NULL OR last_fallback_us IS NULL OR last_fallback_us >= ended_us) AS has_fallback
  FROM attempts AS a
  LEFT JOIN windows AS w ON w.source_id = a.source_id
  WHERE a.session_key IS NOT NULL
), cut AS (
  -- sorted as few columns as can be: the others are joined to the rows that are left
  SELECT *,
         COUNT(CASE WHEN class_word <= 1 THEN 1 END)
           OVER (PARTITION BY session_number ORDER BY session_order ROWS UNBOUNDED PRECEDING) AS segment
  FROM classed
), framed AS (
  SELECT session_number, segment,
         MIN(CASE WHEN class_word <= 3 THEN session_order END)                     AS trigger_order,
         MIN_BY(row_key, session_order) FILTER (WHERE class_word <= 3)             AS episode_key,
         MIN(CASE WHEN has_fallback THEN session_order END)                        AS fallback_order
  FROM cut
  WHERE class_word BETWEEN 1 AND 3 OR (has_fallback AND class_word > 0)
  GROUP BY session_number, segment
), items AS (
  SELECT row_key, session_number, session_order, segment, class_word, has_fallback
  FROM cut
  WHERE class_word > 0
  UNION ALL
  SELECT row_key, session_number, session_order, segment - 1 AS segment, 8 AS class_word, FALSE AS has_fallback
  FROM cut
  WHERE class_word <= 1
)
-- the attempts of a segment follow one another: their order counts the retries
SELECT f.episode_key, i.row_key AS attempt_key, i.session_order,
       CASE WHEN f.fallback_order IS NULL OR i.session_order <= f.fallback_order THEN i.session_order - f.trigger_order END AS retry_number,
       CASE WHEN f.fallback_order IS NULL OR i.session_order <= f.fallback_order THEN i.class_word
            WHEN i.class_word = 8 THEN 10 ELSE 9 END AS role_word,
       i.has_fallback
FROM items AS i
INNER JOIN framed AS f ON f.session_number = i.session_number AND f.segment = i.segment
WHERE i.session_order >= f.trigger_order AND (f.fallback_order IS NULL OR f.fallback_order >= f.trigger_order)
