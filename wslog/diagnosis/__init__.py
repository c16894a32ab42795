"""Why did it fail? Every abnormal end and failed connect gets one cause of a closed list, or ``unexplained``.

``rules.json`` holds the rules in order of precedence; one module per detector looks for them; :func:`diagnose` puts them
together. Too little evidence is no cause: a rule names the test and the floor below which it is silent.
"""

from __future__ import annotations

from wslog.diagnosis.diagnose import Diagnosis, diagnose
from wslog.diagnosis.rules import CAUSES, Rule, rules

__all__ = ["CAUSES", "Diagnosis", "Rule", "diagnose", "rules"]
