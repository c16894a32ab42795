-- clocks: client sessions whose first time lies a month or more from those of the sessions received around them. A collector
-- writes lines as they come, so the median of the first times in the same stretch of the file (2,000 lines, the last two as
-- one) is about when a line came; told only where ten sessions are in the stretch and the middle half of them lies within
-- fifteen days. Read by wslog/diagnosis/clock.py.
WITH firsts AS (
  SELECT source_id, format, session_key, MIN(line_number) AS line_number, MIN_BY(us, row_key) AS us
  FROM steps
  WHERE side = 'client' AND step = 'attempt' AND session_key IS NOT NULL AND us IS NOT NULL
  GROUP BY source_id, format, session_key
), lasts AS (
  SELECT source_id, MAX(line_number) AS line_number
  FROM firsts
  GROUP BY source_id
), placed AS (
  SELECT f.source_id, f.format, f.session_key, f.us,
         LEAST(f.line_number - f.line_number % 2000, GREATEST(l.line_number - l.line_number % 2000 - 2000, 0)) AS stretch
  FROM firsts AS f
  INNER JOIN lasts AS l ON l.source_id = f.source_id
), usual AS (
  SELECT source_id, stretch, COUNT(*) AS session_count, PERCENTILE_CONT(5e-1) WITHIN GROUP (ORDER BY us) AS middle_us,
         PERCENTILE_CONT(7.5e-1) WITHIN GROUP (ORDER BY us) - PERCENTILE_CONT(2.5e-1) WITHIN GROUP (ORDER BY us) AS spread_us
  FROM placed
  GROUP BY source_id, stretch
)
SELECT p.format, p.session_key, (p.us - u.middle_us) / 1e6 AS ahead_s, u.session_count
FROM placed AS p
INNER JOIN usual AS u ON u.source_id = p.source_id AND u.stretch = p.stretch
WHERE u.session_count >= 10 AND u.spread_us <= 1296000000000 AND (p.us - u.middle_us >= 2592000000000 OR p.us - u.middle_us <= -2592000000000)
ORDER BY p.format, p.session_key
