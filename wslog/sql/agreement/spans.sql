-- spans: what each source was observed to tell about, in microseconds. Read by wslog/agreement/reasons.py.
SELECT side, format, COALESCE(source_label, '') AS label, unix_micros(observed_from) AS from_us, unix_micros(observed_until) AS until_us
FROM sources
WHERE observed_from IS NOT NULL AND observed_until IS NOT NULL
