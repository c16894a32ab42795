-- failures: how the attempts of each session went, counted by class and by whether it was the session's first (first_*) or a
-- later one (later_*); sessions whose counts are alike are one row with their number (session_count). The failure rates of
-- wslog/metrics/definitions.json are all made from these counts: one look at the attempts, any number of definitions.
--   kept        opened, and was not lost: closed on purpose, or still open
--   left        opened, and its page was left
--   flapped     opened, and was lost within {stable_s} s
--   slept       opened, and was lost while its page slept
--   lost        opened, and was lost otherwise (dropped, idle_timeout, closed_by_server)
--   unclear     opened, and its end cannot be told from a close on purpose
--   failed      did not open, and the result was seen
--   abandoned   did not open: the page closed it while connecting
--   unresolved  did not open: no result was seen (the page or the log ended first)
-- Connections that were open before the log begins are none of them. The cluster is the session; where none is known the client.
WITH picked AS (
  SELECT {by_select}side, attempt_id, cluster_key, session_key IS NOT NULL AS has_session, sample_weight, is_opened, is_ended, outcome,
         lifetime_s, COALESCE(session_order, 1) = 1 AS is_first
  FROM attempts
  WHERE NOT is_left_censored AND {window} AND {where}
), classed AS (
  SELECT p.*,
         CASE WHEN is_opened THEN CASE WHEN z.attempt_id IS NOT NULL THEN 'slept'
                                       WHEN outcome IN ('dropped', 'idle_timeout', 'closed_by_server')
                                       THEN CASE WHEN lifetime_s < {stable_s} THEN 'flapped' ELSE 'lost' END
                                       WHEN outcome = 'unloaded' THEN 'left'
                                       WHEN outcome = 'ended_unknown' THEN 'unclear' ELSE 'kept' END
              WHEN outcome = 'abandoned' THEN 'abandoned'
              WHEN is_ended THEN 'failed' ELSE 'unresolved' END                    AS class_word
  FROM picked AS p
  LEFT JOIN sleeps AS z ON z.attempt_id = p.attempt_id
), counted AS (
  SELECT {by}side, cluster_key, has_session, sample_weight,
         COUNT(CASE WHEN is_first AND class_word = 'kept' THEN 1 END) AS first_kept,
         COUNT(CASE WHEN is_first AND class_word = 'left' THEN 1 END) AS first_left,
         COUNT(CASE WHEN is_first AND class_word = 'flapped' THEN 1 END) AS first_flapped,
         COUNT(CASE WHEN is_first AND class_word = 'slept' THEN 1 END) AS first_slept,
         COUNT(CASE WHEN is_first AND class_word = 'lost' THEN 1 END) AS first_lost,
         COUNT(CASE WHEN is_first AND class_word = 'unclear' THEN 1 END) AS first_unclear,
         COUNT(CASE WHEN is_first AND class_word = 'failed' THEN 1 END) AS first_failed,
         COUNT(CASE WHEN is_first AND class_word = 'abandoned' THEN 1 END) AS first_abandoned,
         COUNT(CASE WHEN is_first AND class_word = 'unresolved' THEN 1 END) AS first_unresolved,
         COUNT(CASE WHEN NOT is_first AND class_word = 'kept' THEN 1 END) AS later_kept,
         COUNT(CASE WHEN NOT is_first AND class_word = 'left' THEN 1 END) AS later_left,
         COUNT(CASE WHEN NOT is_first AND class_word = 'flapped' THEN 1 END) AS later_flapped,
         COUNT(CASE WHEN NOT is_first AND class_word = 'slept' THEN 1 END) AS later_slept,
         COUNT(CASE WHEN NOT is_first AND class_word = 'lost' THEN 1 END) AS later_lost,
         COUNT(CASE WHEN NOT is_first AND class_word = 'unclear' THEN 1 END) AS later_unclear,
         COUNT(CASE WHEN NOT is_first AND class_word = 'failed' THEN 1 END) AS later_failed,
         COUNT(CASE WHEN NOT is_first AND class_word = 'abandoned' THEN 1 END) AS later_abandoned,
         COUNT(CASE WHEN NOT is_first AND class_word = 'unresolved' THEN 1 END) AS later_unresolved
  FROM classed
  GROUP BY {by}side, cluster_key, has_session, sample_weight
)
SELECT {by}side, has_session, sample_weight, first_kept, first_left, first_flapped, first_slept, first_lost, first_unclear, first_failed,
       first_abandoned, first_unresolved, later_kept, later_left, later_flapped, later_slept, later_lost, later_unclear, later_failed,
       later_abandoned, later_unresolved, COUNT(*) AS session_count
FROM counted
GROUP BY {by}side, has_session, sample_weight, first_kept, first_left, first_flapped, first_slept, first_lost, first_unclear, first_failed,
       first_abandoned, first_unresolved, later_kept, later_left, later_flapped, later_slept, later_lost, later_unclear, later_failed,
       later_abandoned, later_unresolved
