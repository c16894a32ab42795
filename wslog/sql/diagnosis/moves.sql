-- moves: when the kind of network of a client session changed, as far as its log tells; none and unknown are no kind.
WITH told AS (
  SELECT session_key, format, order_us, row_key, network_type
  FROM steps
  WHERE side = 'client' AND session_key IS NOT NULL AND network_type IS NOT NULL AND network_type NOT IN ('none', 'unknown')
), movers AS (
  -- most sessions stay on one network: only the others are put in order
  SELECT format, session_key
  FROM told
  GROUP BY format, session_key
  HAVING MIN(network_type) <> MAX(network_type)
), kinds AS (
  SELECT t.session_key, t.order_us, t.row_key, t.network_type,
         LAG(t.network_type) OVER (PARTITION BY t.format, t.session_key ORDER BY t.order_us NULLS FIRST, t.row_key) AS left_type
  FROM told AS t
  INNER JOIN movers AS m ON m.format = t.format AND m.session_key = t.session_key
)
SELECT session_key, order_us AS at_us, left_type, network_type
FROM kinds
WHERE left_type <> network_type AND order_us IS NOT NULL
ORDER BY session_key, order_us, row_key
