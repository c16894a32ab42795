-- strands: the steps of the threads that are not tangled, each with its attempt: its connection, or, where none is logged, its
-- island (see attempts.sql). The rule that tells where an attempt begins is that of knots.sql. Read by spans.sql, attempt_rows.sql.
WITH loose AS (
  SELECT p.row_key, p.us, p.thread_id, p.n, p.moment, p.is_proxy, p.is_nameless, p.own_connection, p.step_word
  FROM places AS p
  LEFT JOIN tangled AS t ON t.thread_id = p.thread_id
  WHERE t.thread_id IS NULL AND p.step_word IS NOT NULL
), followed AS (
  SELECT *, LAG(step_word) OVER (PARTITION BY thread_id ORDER BY n) AS before_step
  FROM loose
  WHERE own_connection IS NULL
), begun AS (
  SELECT row_key, us, thread_id, n, moment,
         CASE WHEN step_word IS NULL THEN 0
              WHEN is_proxy THEN CASE WHEN before_step IN (1, 2) AND step_word <> 1 THEN 0 ELSE 1 END
              -- a connection named by a log without sessions: the name may come back after a restart of the server
              WHEN is_nameless THEN CASE WHEN before_step IS NULL OR (before_step = 4 AND step_word IN (1, 2)) THEN 1 ELSE 0 END
              WHEN own_connection IS NOT NULL THEN 0
              WHEN step_word = 1 THEN 1
              WHEN step_word = 2 THEN CASE WHEN before_step = 1 THEN 0 ELSE 1 END
              WHEN step_word = 3 THEN CASE WHEN before_step IN (1, 2) THEN 0 ELSE 1 END
              ELSE CASE WHEN before_step IN (1, 2, 3) THEN 0 ELSE 1 END
         END AS is_begin
  FROM followed
)
SELECT row_key, us, thread_id, n, moment, own_connection AS connection_key, CAST(0 AS BIGINT) AS island
FROM loose
WHERE own_connection IS NOT NULL
UNION ALL
SELECT row_key, us, thread_id, n, moment, '' AS connection_key,
       CAST(SUM(is_begin) OVER (PARTITION BY thread_id ORDER BY n ROWS UNBOUNDED PRECEDING) AS BIGINT) AS island
FROM begun
