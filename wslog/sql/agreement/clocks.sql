-- clocks: by how much the clocks of each two logs differ, as wslog/agreement/table.py found it.
SELECT client_format, client_label, service_side, service_format, service_label, offset_s, drift_ppm, jitter_s, tolerance_s,
       pair_count, learnt_from, state
FROM clocks
ORDER BY client_format, client_label, service_side, service_format, service_label
