"""Events: delivered to the operator's webhook, in the order of each person."""
