-- links: the attempts that carry an id which an attempt of the other party's logs carries too; the parties are clients on
-- one hand and the service (servers and proxies) on the other. One row per such attempt.
--   link_kind   which of its columns holds the id: 1 request_id, 2 connection_id, 3 session_id; the first that is shared
--   link_count  attempts of the same format and label with this id: an id used more than once needs the time as well
-- Ids shorter than 6 characters are counters, which two logs have in common by chance.
WITH ids AS (
  SELECT attempt_id, side = 'client' AS is_client, format, COALESCE(source_label, '') AS label, 1 AS kind, request_id AS id
  FROM attempts WHERE SUBSTRING(request_id, 6, 1) <> ''
  UNION ALL
  SELECT attempt_id, side = 'client', format, COALESCE(source_label, ''), 2, connection_id
  FROM attempts WHERE SUBSTRING(connection_id, 6, 1) <> ''
  UNION ALL
  SELECT attempt_id, side = 'client', format, COALESCE(source_label, ''), 3, session_id
  FROM attempts WHERE SUBSTRING(session_id, 6, 1) <> ''
), shared AS (
  SELECT id
  FROM ids
  GROUP BY id
  HAVING COUNT(CASE WHEN is_client THEN 1 END) BETWEEN 1 AND COUNT(*) - 1
), found AS (
  SELECT i.attempt_id, MIN(i.is_client) AS is_client, MIN(i.format) AS format, MIN(i.label) AS label, MIN(i.kind) AS link_kind,
         MIN_BY(i.id, i.kind) AS link
  FROM ids AS i
  INNER JOIN shared AS s ON s.id = i.id
  GROUP BY i.attempt_id
), counted AS (
  SELECT is_client, format, label, link, COUNT(*) AS link_count
  FROM found
  GROUP BY is_client, format, label, link
)
SELECT f.attempt_id, f.is_client, f.format, f.label, f.link_kind, f.link, c.link_count
FROM found AS f
INNER JOIN counted AS c ON c.is_client = f.is_client AND c.format = f.format AND c.label = f.label AND c.link = f.link
