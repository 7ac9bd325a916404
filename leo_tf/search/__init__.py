"""Search for hyper-parameters: trials are ordinary runs, judged by validation; the best are trained again."""
