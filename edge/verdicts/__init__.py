"""Events, and the decision rule that says whether they were expected."""
