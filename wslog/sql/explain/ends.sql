-- ends: the attempts that ended with one close code, or were answered with one HTTP status (the other is -1): what durations near
-- well-known timeouts and simultaneous ends are read from. Whose an attempt is: see clustered.sql.
SELECT side, is_opened, lifetime_s, longest_inbound_silence_ms / 1e3 AS silence_s, ended_us, cluster_number, url_host, network_type,
       close_reason, sample_weight
FROM clustered
WHERE close_code = {close_code} OR http_status = {http_status}
