"""Other people's model servers with a model of ours: strangers that the load tester is tried on."""
