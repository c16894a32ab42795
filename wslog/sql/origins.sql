-- origins: one row per file with events: what the whole file tells about each of its rows. Read by untimed.sql, steps.sql.
SELECT source_id,
       COUNT(session_id)                                            AS session_id_count,
       COUNT(event_at)                                              AS timed_count,
       COUNT(*)                                                     AS event_count,
       COUNT(CASE WHEN event IN ('attempt', 'open') THEN 1 END)     AS begin_count,
       ROW_NUMBER() OVER (ORDER BY source_id)                       AS source_rank
FROM events
GROUP BY source_id
