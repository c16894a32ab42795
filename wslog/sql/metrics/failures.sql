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
  SELECT {by_select}side, row_key, {cluster_select}session_key IS NOT NULL AS has_session, sample_weight,
         CASE WHEN COALESCE(session_order, 1) = 1 THEN 0 ELSE 9 END AS later_code,
         CASE WHEN is_opened THEN CASE WHEN outcome IN ('dropped', 'idle_timeout', 'closed_by_server')
                                       THEN CASE WHEN lifetime_s < {stable_s} THEN 3 ELSE 5 END
                                       WHEN outcome = 'unloaded' THEN 2 WHEN outcome = 'ended_unknown' THEN 6 ELSE 1 END
              WHEN outcome = 'abandoned' THEN 8
              WHEN is_ended THEN 7 ELSE 9 END                                      AS class_code
  FROM clustered
  WHERE NOT is_left_censored AND {window} AND {where}
), classed AS (
  -- classes in the order of the list above, those of later attempts after those of first ones
  SELECT p.*, later_code + CASE WHEN class_code <= 6 AND z.row_key IS NOT NULL THEN 4 ELSE class_code END AS code
  FROM picked AS p
  LEFT JOIN sleeps AS z ON z.row_key = p.row_key
), counted AS (
  SELECT {by}side, {cluster}has_session, sample_weight,
         COUNT(CASE WHEN code = 1 THEN 1 END) AS first_kept, COUNT(CASE WHEN code = 2 THEN 1 END) AS first_left,
         COUNT(CASE WHEN code = 3 THEN 1 END) AS first_flapped, COUNT(CASE WHEN code = 4 THEN 1 END) AS first_slept,
         COUNT(CASE WHEN code = 5 THEN 1 END) AS first_lost, COUNT(CASE WHEN code = 6 THEN 1 END) AS first_unclear,
         COUNT(CASE WHEN code = 7 THEN 1 END) AS first_failed, COUNT(CASE WHEN code = 8 THEN 1 END) AS first_abandoned,
         COUNT(CASE WHEN code = 9 THEN 1 END) AS first_unresolved, COUNT(CASE WHEN code = 10 THEN 1 END) AS later_kept,
         COUNT(CASE WHEN code = 11 THEN 1 END) AS later_left, COUNT(CASE WHEN code = 12 THEN 1 END) AS later_flapped,
         COUNT(CASE WHEN code = 13 THEN 1 END) AS later_slept, COUNT(CASE WHEN code = 14 THEN 1 END) AS later_lost,
         COUNT(CASE WHEN code = 15 THEN 1 END) AS later_unclear, COUNT(CASE WHEN code = 16 THEN 1 END) AS later_failed,
         COUNT(CASE WHEN code = 17 THEN 1 END) AS later_abandoned, COUNT(CASE WHEN code = 18 THEN 1 END) AS later_unresolved
  FROM classed
  GROUP BY {cluster}{by}side, has_session, sample_weight
)
SELECT {by}side, has_session, sample_weight, first_kept, first_left, first_flapped, first_slept, first_lost, first_unclear, first_failed,
       first_abandoned, first_unresolved, later_kept, later_left, later_flapped, later_slept, later_lost, later_unclear, later_failed,
       later_abandoned, later_unresolved, COUNT(*) AS session_count
FROM counted
GROUP BY {by}side, has_session, sample_weight, first_kept, first_left, first_flapped, first_slept, first_lost, first_unclear, first_failed,
       first_abandoned, first_unresolved, later_kept, later_left, later_flapped, later_slept, later_lost, later_unclear, later_failed,
       later_abandoned, later_unresolved
