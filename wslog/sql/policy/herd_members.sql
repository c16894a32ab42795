-- herd_members: one row per outage that belongs to a herd (many sessions of one host cut within a second), seconds since
-- the herd's first drop. The herd is one host as one side saw it.
WITH members AS (
  SELECT herd_id, side, episode_id, session_key, sample_weight, end_word, started_us, ended_us,
         unix_micros(first_poll_ok_at) AS poll_ok_us, unix_micros(last_poll_failed_at) AS poll_failed_us
  FROM (
    SELECT *, MIN(started_us) OVER (PARTITION BY herd_id, side) AS herd_us
    FROM episodes
    WHERE herd_id IS NOT NULL AND started_us IS NOT NULL
  ) AS e
  WHERE {window} AND {where}
)
SELECT herd_id, side, episode_id, session_key, sample_weight, end_word,
       MIN(started_us) OVER w AS begin_us,
       (started_us - MIN(started_us) OVER w) / 1e6 AS drop_s,
       (ended_us - MIN(started_us) OVER w) / 1e6 AS ended_s,
       (poll_ok_us - MIN(started_us) OVER w) / 1e6 AS poll_ok_s,
       (poll_failed_us - MIN(started_us) OVER w) / 1e6 AS poll_failed_s
FROM members
WINDOW w AS (PARTITION BY herd_id, side)
ORDER BY herd_id, side, drop_s, episode_id
