-- herd_attempts: one row per connection attempt made at the host of a herd from its first drop on, for {window_s} s or until
-- the host's next herd, by members and by others (new visitors tell as well when the service was back). Left out: attempts
-- the page broke off, attempts without an end, and refusals that no waiting mends (4xx other than 408 and 429).
WITH members AS (
  SELECT herd_id, side, url_host, session_key, started_us,
         MIN(started_us) OVER (PARTITION BY herd_id, side) AS begin_us,
         MAX(started_us) OVER (PARTITION BY herd_id, side) AS last_drop_us
  FROM episodes
  WHERE herd_id IS NOT NULL AND started_us IS NOT NULL
), begun AS (
  SELECT herd_id, side, url_host, begin_us, last_drop_us
  FROM members
  GROUP BY herd_id, side, url_host, begin_us, last_drop_us
), herds AS (
  SELECT *,
         LEAST(begin_us + {window_s} * 1000000,
               COALESCE(LEAD(begin_us) OVER (PARTITION BY url_host, side ORDER BY begin_us, herd_id), begin_us + {window_s} * 1000000))
           AS until_us
  FROM begun
), own AS (
  SELECT herd_id, side, session_key, MIN(started_us) AS drop_us
  FROM members
  GROUP BY herd_id, side, session_key
)
SELECT h.herd_id, h.side, o.session_key, a.sample_weight,
       (a.started_us - h.begin_us) / 1e6 AS start_s,
       (COALESCE(a.opened_us, a.ended_us, a.started_us) - h.begin_us) / 1e6 AS end_s,
       a.is_opened AS is_ok
FROM herds AS h
INNER JOIN attempts AS a
  ON a.side = h.side AND COALESCE(a.url_host, '') = COALESCE(h.url_host, '')
     AND a.started_us >= h.begin_us AND a.started_us < h.until_us
LEFT JOIN own AS o ON o.herd_id = h.herd_id AND o.side = h.side AND o.session_key = a.session_key
WHERE a.started_us >= COALESCE(o.drop_us, h.last_drop_us) AND a.outcome <> 'abandoned' AND (a.is_opened OR a.is_ended)
  AND NOT (a.outcome = 'rejected' AND a.http_status BETWEEN 400 AND 499 AND a.http_status NOT IN (408, 429))
ORDER BY h.herd_id, h.side, start_s, a.attempt_id
