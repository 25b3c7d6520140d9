"""The capacity planner: what a model needs to keep its latency target, before it is rolled out."""
