from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from helpers.onsets import AXES, study
from memsweep.analysis.predict import outlooks
