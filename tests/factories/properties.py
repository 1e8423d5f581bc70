"""How hypothesis runs here: without deadlines, for two cores that others use too say nothing about the code."""

import hypothesis

hypothesis.settings.register_profile("suite", deadline=None, database=None)
hypothesis.settings.load_profile("suite")
