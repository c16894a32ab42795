-- origins: one row per file with events: what the whole file tells about each of its rows. Read by wslog.attempts, untimed.sql,
-- steps.sql and outages.sql.
WITH counted AS (
  SELECT source_id,
         COUNT(session_id)                                            AS session_id_count,
         COUNT(event_at)                                              AS timed_count,
         COUNT(*)                                                     AS event_count,
         COUNT(CASE WHEN event IN ('attempt', 'open') THEN 1 END)     AS begin_count,
         ROW_NUMBER() OVER (ORDER BY source_id)                       AS source_rank
  FROM events
  GROUP BY source_id
), labelled AS (
  SELECT source_id, MAX(source_label) AS source_label
  FROM sources
  GROUP BY source_id
)
SELECT c.source_id, l.source_label, c.session_id_count, c.timed_count, c.event_count, c.begin_count, c.source_rank
FROM counted AS c
LEFT JOIN labelled AS l ON l.source_id = c.source_id
