-- untimed: the rows without a time in files that have times, and the latest time before each. Read by steps.sql.
WITH filled AS (
  SELECT e.source_id, e.line_number, e.event_index, e.event_at,
         MAX(unix_micros(e.event_at)) OVER (PARTITION BY e.source_id ORDER BY e.line_number, e.event_index
                                            ROWS UNBOUNDED PRECEDING) AS filled_us
  FROM events AS e
  INNER JOIN origins AS f ON f.source_id = e.source_id
  WHERE f.timed_count > 0 AND f.timed_count < f.event_count
)
SELECT source_id, line_number, event_index, filled_us
FROM filled
WHERE event_at IS NULL
