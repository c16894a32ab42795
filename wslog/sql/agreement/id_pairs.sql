-- id pairs: a client attempt and a service attempt that carry the same id of a request or connection, each the only one of
-- its format and label that does. A client attempt may stand in a pair with several logs of the service: a proxy's and a
-- server's. A session's id is none of an attempt: it pairs nothing without the time.
SELECT c.attempt_id AS client_attempt_id, s.attempt_id AS service_attempt_id,
       CASE WHEN c.link_kind = 1 THEN 'request_id' ELSE 'connection_id' END AS matched_by
FROM links AS c
INNER JOIN links AS s ON s.link = c.link
WHERE c.is_client AND NOT s.is_client AND c.link_count = 1 AND s.link_count = 1 AND c.link_kind < 3 AND s.link_kind < 3
