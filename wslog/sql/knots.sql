-- knots: every event of the tangled threads, with its attempt and with what was last said before it. strands.sql says the same of
-- the other threads; the rule that tells where an attempt begins is in both files. Read by spans.sql and attempt_rows.sql.
--
-- "The latest value before this row" is the running maximum of row number * base + code: IGNORE NULLS is spelled
-- differently by every engine.
WITH carried AS (
  SELECT p.row_key, p.us, p.thread_id, p.n, p.is_proxy, p.is_nameless, p.own_connection, p.step_word, p.mark_word, p.network_word,
         p.effective_word,
         MAX(CASE WHEN step_word IS NOT NULL AND own_connection IS NULL THEN n * 8 + step_word END) OVER before % 8 AS before_step,
         MAX(CASE WHEN mark_word IN (2, 3) THEN n * 8 + mark_word WHEN step_word = 2 THEN n * 8 + 7 END) OVER before % 8
                                                                                   AS before_service,
         MAX(n * 8 + network_word) OVER upto % 8                                 AS carried_network,
         MAX(n * 8 + effective_word) OVER upto % 8                               AS carried_effective,
         MAX(n * 1000000 + said_retry) OVER upto                                 AS carried_retry,
         MAX(n * 1000000 + said_max) OVER upto % 1000000                         AS carried_max,
         SUBSTRING(MAX(CASE WHEN step_word IS NOT NULL THEN LPAD(CAST(n AS STRING), 12, '0') || COALESCE(own_connection, '') END) OVER upto, 13)
                                                                                   AS latest_connection
  FROM places AS p
  INNER JOIN tangled AS t ON t.thread_id = p.thread_id
  WINDOW before AS (PARTITION BY p.thread_id ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
         upto AS (PARTITION BY p.thread_id ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
), begun AS (
  SELECT row_key, us, thread_id, n, step_word, mark_word, network_word, effective_word, before_service, carried_network,
         carried_effective, carried_retry, carried_max,
         CASE WHEN step_word IS NULL THEN 0
              WHEN is_proxy THEN CASE WHEN before_step IN (1, 2) AND step_word <> 1 THEN 0 ELSE 1 END
              -- a connection named by a log without sessions: the name may come back after a restart of the server
              WHEN is_nameless THEN CASE WHEN before_step IS NULL OR (before_step = 4 AND step_word IN (1, 2)) THEN 1 ELSE 0 END
              WHEN own_connection IS NOT NULL THEN 0
              WHEN step_word = 1 THEN 1
              WHEN step_word = 2 THEN CASE WHEN before_step = 1 THEN 0 ELSE 1 END
              WHEN step_word = 3 THEN CASE WHEN before_step IN (1, 2) THEN 0 ELSE 1 END
              ELSE CASE WHEN before_step IN (1, 2, 3) THEN 0 ELSE 1 END
         END AS is_begin,
         CASE WHEN step_word IS NOT NULL THEN COALESCE(own_connection, '') ELSE COALESCE(latest_connection, '') END AS connection_key
  FROM carried
)
SELECT *,
       CASE WHEN connection_key <> '' THEN 0
            ELSE CAST(SUM(is_begin) OVER (PARTITION BY thread_id ORDER BY n ROWS UNBOUNDED PRECEDING) AS BIGINT) END AS island
FROM begun
