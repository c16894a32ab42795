-- moves: when the kind of network of a client session changed, as far as its log tells; none and unknown are no kind.
WITH kinds AS (
  SELECT session_key, format, order_us, row_key, network_type,
         LAG(network_type) OVER (PARTITION BY format, session_key ORDER BY order_us NULLS FIRST, row_key) AS left_type
  FROM steps
  WHERE side = 'client' AND session_key IS NOT NULL AND network_type IS NOT NULL AND network_type NOT IN ('none', 'unknown')
)
SELECT session_key, order_us AS at_us, left_type, network_type
FROM kinds
WHERE left_type <> network_type AND order_us IS NOT NULL
ORDER BY session_key, order_us, row_key
