-- sleeps: one row per attempt whose connection was lost while its page slept (lid closed, frozen tab): no drop of the network,
-- since nobody was there to keep it alive. The one definition, for the diagnosis and for the metrics that count drops.
--   late_notice      the other side's log, joined by an id that names one connection on each side, shows that it had ended 5 s
--                    or more before the client noticed, and the client had heard nothing for 30 s; where the silence is not
--                    known, a minute or more: a client that is awake finds out by then, with any usual heartbeat
--   suspended_clock  by the times of its lines the connection lasted 5 s or more longer than the page measured: its clock stood
--   long_silence     60 s or more of silence before the end, and five times what three in four connections of that log stay
--                    below (20 known silences at least); not where the other side ended at the same time, nor where silences
--                    gather (8 within three seconds, four times what the half minutes beside let expect): that is a timeout
-- The other side's rows of such a connection are here too, each by its own row_key. Sleeps that none of the three tells are
-- not here: a lake without the other side's log and without longest_inbound_silence_ms shows none.
WITH lost AS (
  SELECT row_key, format, COALESCE(request_id, connection_id) AS link,
         GREATEST(lifetime_s, (ended_us - opened_us) / 1e6)                        AS held_s,
         (ended_us - opened_us) / 1e6 - lifetime_s                                 AS stood_s,
         longest_inbound_silence_ms / 1e3                                          AS silence_s
  FROM attempts
  WHERE side = 'client' AND is_opened AND outcome IN ('dropped', 'idle_timeout')
), others AS (
  SELECT row_key, side, link, lifetime_s
  FROM (
    SELECT row_key, side, COALESCE(request_id, connection_id) AS link, lifetime_s FROM attempts WHERE side <> 'client'
  ) AS o
  WHERE link IN (SELECT link FROM lost)
), paired AS (
  SELECT link, MIN(lifetime_s) AS other_s
  FROM others
  GROUP BY link
  HAVING COUNT(CASE WHEN side = 'proxy' THEN 1 END) < 2 AND COUNT(CASE WHEN side = 'server' THEN 1 END) < 2
), joined AS (
  -- an id that one side logs twice names no connection
  SELECT p.link, MIN(p.other_s) AS other_s
  FROM paired AS p
  INNER JOIN (SELECT COALESCE(request_id, connection_id) AS link FROM attempts WHERE side = 'client') AS c ON c.link = p.link
  GROUP BY p.link
  HAVING COUNT(*) = 1
), usual AS (
  SELECT format, PERCENTILE_CONT(7.5e-1) WITHIN GROUP (ORDER BY longest_inbound_silence_ms) / 1e3 AS usual_silence_s
  FROM attempts
  WHERE side = 'client' AND longest_inbound_silence_ms IS NOT NULL
  GROUP BY format
  HAVING COUNT(*) >= 20
), seconds AS (
  SELECT format, CAST((silence_ms - silence_ms % 1000) / 1e3 AS BIGINT) AS silent_second, COUNT(*) AS lost_count
  FROM (SELECT format, CAST(silence_s * 1e3 AS BIGINT) AS silence_ms FROM lost WHERE silence_s >= 60) AS l
  GROUP BY format, CAST((silence_ms - silence_ms % 1000) / 1e3 AS BIGINT)
), gathered AS (
  SELECT format, silent_second,
         SUM(lost_count) OVER (PARTITION BY format ORDER BY silent_second RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING)   AS near_count,
         SUM(lost_count) OVER (PARTITION BY format ORDER BY silent_second RANGE BETWEEN 30 PRECEDING AND 30 FOLLOWING) AS wide_count
  FROM seconds
), timeouts AS (
  -- the 58 seconds beside hold 58 / 3 times as much as three seconds, where nothing gathers
  SELECT format, silent_second
  FROM gathered
  WHERE near_count >= 8 AND near_count * 58 >= 12 * (wide_count - near_count)
), judged AS (
  SELECT l.row_key, j.link, l.held_s - j.other_s AS noticed_late_s, l.stood_s, l.silence_s, u.usual_silence_s,
         CASE WHEN l.held_s - j.other_s >= 5 AND (l.silence_s >= 30 OR (l.silence_s IS NULL AND l.held_s - j.other_s >= 60))
              THEN 'late_notice'
              WHEN l.stood_s >= 5 THEN 'suspended_clock'
              WHEN l.silence_s >= 60 AND l.silence_s >= 5 * u.usual_silence_s AND t.silent_second IS NULL
                   AND NOT COALESCE(l.held_s - j.other_s BETWEEN -5 AND 5, FALSE)
              THEN 'long_silence' END                                              AS sleep_rule
  FROM lost AS l
  LEFT JOIN joined AS j ON j.link = l.link
  LEFT JOIN usual AS u ON u.format = l.format
  LEFT JOIN timeouts AS t
    ON t.format = l.format AND t.silent_second = CAST((CAST(l.silence_s * 1e3 AS BIGINT) - CAST(l.silence_s * 1e3 AS BIGINT) % 1000) / 1e3 AS BIGINT)
), slept AS (
  SELECT row_key, sleep_rule, noticed_late_s, stood_s, silence_s, usual_silence_s
  FROM judged
  WHERE sleep_rule IS NOT NULL
  UNION ALL
  SELECT o.row_key, g.sleep_rule, g.noticed_late_s, g.stood_s, g.silence_s, g.usual_silence_s
  FROM judged AS g
  INNER JOIN others AS o ON o.link = g.link
  WHERE g.sleep_rule IS NOT NULL
)
SELECT row_key, sleep_rule, noticed_late_s, stood_s, silence_s, usual_silence_s
FROM slept
