-- chances: how often first connects of client sessions fail by chance, by group and kind of failure, and how often pages are
-- left while connected. A failure counts when the session opened later: its network let WebSockets through.
-- Read by wslog/policy/evidence.py.
WITH chosen AS (
  SELECT {by_select}session_number, session_order, is_opened, is_ended, outcome, error_class, http_status, started_us, ended_us,
         sample_weight, connected_s,
         MAX(CASE WHEN is_opened THEN 1 ELSE 0 END) OVER (PARTITION BY session_number) AS has_opened
  FROM attempts
  WHERE side = 'client' AND session_number IS NOT NULL AND {window} AND {where}
), judged AS (
  SELECT {by}sample_weight, connected_s, outcome,
         session_order = 1 AND has_opened = 1 AND (is_opened OR (is_ended AND outcome <> 'abandoned')) AS is_first,
         CASE WHEN is_opened THEN 'none'
              WHEN error_class = 'timeout' OR outcome = 'handshake_timeout' THEN 'timeout'
              WHEN http_status >= 200 OR error_class IN ('http_status', 'blocked_by_proxy') THEN 'http_status'
              WHEN error_class IN ('dns', 'refused', 'reset', 'tls', 'protocol') THEN 'fast'
              WHEN ended_us - started_us < 1000000 THEN 'fast'
              WHEN ended_us - started_us >= 4000000 THEN 'timeout'
              ELSE 'unknown' END AS failure
  FROM chosen
)
SELECT {by}failure, SUM(CASE WHEN is_first THEN sample_weight ELSE 0 END) AS first_count,
       SUM(CASE WHEN outcome = 'unloaded' THEN sample_weight ELSE 0 END) AS left_count,
       SUM(CASE WHEN connected_s > 0 THEN connected_s * sample_weight ELSE 0 END) AS connected_s
FROM judged
GROUP BY {by}failure
ORDER BY {by}failure
