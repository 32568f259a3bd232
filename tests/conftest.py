pytest_plugins = ["tests.simulator_process"]
